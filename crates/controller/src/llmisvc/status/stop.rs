//! A stopped service: everything it asks for is False on purpose.

use llmd_api::serving::conditions as types;

use super::conditions::{Conditions, Verdict};
use super::{router, workloads};
use crate::llmisvc::section::SectionError;
use crate::llmisvc::service::Service;

/// Reason of every condition of a stopped service.
const STOPPED: &str = "Stopped";

/// Marks what the spec asks for as stopped.
pub(super) fn mark(service: &Service, conditions: &mut Conditions) {
    let workloads = [workloads::conditions_of(service), workloads::scheduler_conditions_of(service)];
    for it in workloads.into_iter().flatten().chain(router::conditions_of(service)) {
        conditions.mark(it, Verdict::no(STOPPED, "Service is stopped"));
    }
}

/// What `error` says of its condition. Configs that do not combine are only a warning while the service is stopped:
/// its objects go all the same.
pub(super) fn verdict(service: &Service, error: &SectionError) -> Verdict {
    if service.is_stopped() && error.condition == types::PRESETS_COMBINED {
        return Verdict::no(STOPPED, format!("Service is stopped with warning: {}", error.message));
    }
    Verdict::of_error(error)
}
