//! The objects a service becomes. Pure and infallible: no client, no clock, no randomness; equal services give
//! equal bytes. Whatever can be wrong with a service was found before, by `validate`.

use crate::children::Child;
use crate::llmisvc::service::Service;

pub mod certificate;
pub mod monitoring;
pub mod rbac;
pub mod router;
pub mod scaling;
pub mod scheduler;
pub mod storage;
#[cfg(test)]
pub(crate) mod testing;
pub mod tracing;
pub mod workload;

/// Every object of the service, in the order in which they are applied.
#[must_use]
pub fn render(service: &Service) -> Vec<Child> {
    if service.is_stopped() {
        return Vec::new();
    }
    let mut children = Vec::new();
    children.extend(certificate::render(service));
    children.extend(storage::render(service));
    children.extend(workload::render(service));
    children.extend(scheduler::render(service));
    children.extend(router::render(service));
    children.extend(scaling::render(service));
    children.extend(monitoring::render(service));
    children.sort_by_key(|it| it.kind);
    children
}
