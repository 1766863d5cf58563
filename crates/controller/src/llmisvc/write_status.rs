//! Writing a service's status: as a whole, against the version that was read, and only when it differs.

use llmd_api::serving::status::LLMInferenceServiceStatus;
use llmd_api::serving::v1alpha2::LLMInferenceService;

use super::reconcile::Error;
use crate::context::Context;
use crate::index::Key;
use crate::primary;

/// Writes `status` unless the service has it already. Returns whether it was written.
///
/// # Errors
/// When the API server refuses or cannot be reached. A service that is gone is no error.
pub async fn write_status(
    context: &Context,
    key: &Key,
    object: &LLMInferenceService,
    status: &LLMInferenceServiceStatus,
) -> Result<bool, Error> {
    context.metrics.service(key, Some(status));
    if object.status.as_ref() == Some(status) {
        return Ok(false);
    }
    let written = primary::replace_status(&context.client, object, status).await;
    let error = |source: kube::Error| Error::Service { what: "status", source: source.into() };
    let Some(written) = written.map_err(error)? else { return Ok(false) };
    context.caches.service_written(written);
    Ok(true)
}
