//! Everything that a section finds wrong with a service before it is rendered.

use super::render::{scheduler, workload};
use super::section::SectionError;
use super::service::Service;
use super::status::SectionFailure;

/// The failures of every section. A stopped service has none: nothing is rendered.
#[must_use]
pub fn check(service: &Service) -> Vec<SectionFailure> {
    if service.is_stopped() {
        return Vec::new();
    }
    let errors = [workload::check(service), scheduler::check(service)].concat();
    errors.into_iter().map(failure).collect()
}

fn failure(error: SectionError) -> SectionFailure {
    SectionFailure::new(error.condition, error.reason, error.message)
}
