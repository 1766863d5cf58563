//! The pods that serve the model: Deployments or LeaderWorkerSets, the accounts and permissions they run with, the
//! devices they claim, and the Service in front of them.
//!
//! [`Workload`] is the view of one workload that every file here starts from; [`template`] assembles a pod; the other
//! files each know one subject. How the model's files get into a pod is `storage`'s.

use crate::children::Child;
use crate::llmisvc::service::Service;

pub mod accounts;
pub mod check;
pub mod dra;
pub mod engine;
pub mod labels;
pub mod mode;
pub mod multi_node;
pub mod pod;
pub mod rbac;
pub mod role;
pub mod rollout;
pub mod sidecar;
pub mod single_node;
pub mod template;
pub mod tracing;
pub mod workload_service;

pub use check::check;
pub use mode::Mode;
pub use role::{PodPosition, Workload, WorkloadRole};

/// The objects of this part.
#[must_use]
pub fn render(service: &Service) -> Vec<Child> {
    let mut children: Vec<_> = Workload::all(service).flat_map(|it| render_one(&it)).collect();
    children.extend(dra::render(service));
    children.push(workload_service::render(service));
    children
}

fn render_one(workload: &Workload<'_>) -> Vec<Child> {
    let mut children = rbac::render(workload);
    children.extend(accounts::render(workload));
    children.push(if workload.is_multi_node() {
        multi_node::render(workload)
    } else {
        single_node::render(workload)
    });
    children
}

#[cfg(test)]
mod tests;
