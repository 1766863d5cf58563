//! Everything that a section finds wrong with a service before it is rendered.

use super::render::{router, scaling, scheduler, storage, workload};
use super::section::SectionError;
use super::service::Service;

/// The failures of every section. A stopped service has none: nothing is rendered.
#[must_use]
pub fn check(service: &Service) -> Vec<SectionError> {
    if service.is_stopped() {
        return Vec::new();
    }
    let image_volume = storage::image_volume_gap(service);
    let sections = [
        storage::check(service),
        workload::check(service),
        scheduler::check(service),
        router::check::check(service),
        scaling::check(service),
    ];
    sections.into_iter().flatten().chain(image_volume).collect()
}
