//! Everything that a section finds wrong with a service before it is rendered.

use super::render::{scheduler, workload};
use super::section::SectionError;
use super::service::Service;

/// The failures of every section. A stopped service has none: nothing is rendered.
#[must_use]
pub fn check(service: &Service) -> Vec<SectionError> {
    if service.is_stopped() {
        return Vec::new();
    }
    [workload::check(service), scheduler::check(service)].concat()
}
