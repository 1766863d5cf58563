//! What is reported: conditions, URLs, workloads. Pure: from the service, its facts and its live objects.

use crate::llmisvc::service::Service;
use llmd_api::serving::status::LLMInferenceServiceStatus;

pub mod conditions;

/// The status of a service whose objects have been applied. `previous` is the status it has, for transition
/// times; `now` is RFC 3339 in UTC, to the second.
#[must_use]
pub fn status(
    _service: &Service,
    previous: &LLMInferenceServiceStatus,
    _now: &str,
) -> LLMInferenceServiceStatus {
    previous.clone()
}
