//! What the routing sidecar may read: the pods and pools of its namespace, so that it forwards to members of its pool
//! alone. Rendered exactly while the main workload has the sidecar: the permission goes with its reason.

use super::accounts::AccountChoice;
use super::{Workload, labels, sidecar};
use crate::children::Child;
use crate::llmisvc::render::rbac::{READ, role, rule};

/// The Role and its binding to the account of the workload's pods, where those have the sidecar.
#[must_use]
pub fn render(workload: &Workload<'_>) -> Vec<Child> {
    let choice = AccountChoice::of(workload);
    let Some(account) = choice.name().filter(|_| sidecar::is_in(workload)) else { return Vec::new() };
    let names = workload.service.names();
    let names = if workload.is_multi_node() {
        [names.multi_node_role(), names.multi_node_role_binding()]
    } else {
        [names.sidecar_role(), names.sidecar_role_binding()]
    };
    let rules = vec![
        rule(&[""], &["pods"], READ),
        rule(&["inference.networking.x-k8s.io", "inference.networking.k8s.io"], &["inferencepools"], READ),
    ];
    role(workload.service, names, labels::of_support(workload), rules, account).into()
}
