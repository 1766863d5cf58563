//! The pods that serve the model: Deployments or LeaderWorkerSets, the accounts and permissions they run with, the
//! devices they claim, and the Service in front of them.
//!
//! [`Workload`] is the view of one workload that every file here starts from; [`template`] assembles a pod; the other
//! files each know one subject. How the model's files get into a pod is `storage`'s.

use crate::children::Child;
use crate::llmisvc::service::Service;

pub mod labels;
pub mod mode;
pub mod pod;
pub mod role;
pub mod rollout;
pub mod single_node;
pub mod template;
pub mod workload_service;

pub use mode::Mode;
pub use role::{PodPosition, Workload, WorkloadRole};

/// The objects of this part.
#[must_use]
pub fn render(service: &Service) -> Vec<Child> {
    let mut children: Vec<_> =
        Workload::all(service).filter(|it| !it.is_multi_node()).map(|it| single_node::render(&it)).collect();
    children.push(workload_service::render(service));
    children
}
