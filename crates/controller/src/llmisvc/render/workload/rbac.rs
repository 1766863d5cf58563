//! What the routing sidecar may read: the pods and pools of its namespace, so that it forwards to members of its pool
//! alone. Rendered exactly while the main workload has the sidecar: the permission goes with its reason.

use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};

use super::accounts::AccountChoice;
use super::{Workload, labels, sidecar};
use crate::children::{Child, ChildKind};

const API_GROUP: &str = "rbac.authorization.k8s.io";

/// The Role and its binding to the account of the workload's pods, where those have the sidecar.
#[must_use]
pub fn render(workload: &Workload<'_>) -> Vec<Child> {
    let choice = AccountChoice::of(workload);
    let Some(account) = choice.name().filter(|_| sidecar::is_in(workload)) else { return Vec::new() };
    let names = workload.service.names();
    let (role_name, binding_name) = if workload.is_multi_node() {
        (names.multi_node_role(), names.multi_node_role_binding())
    } else {
        (names.sidecar_role(), names.sidecar_role_binding())
    };
    let binding = binding(workload, binding_name, &role_name, account);
    let role = role(workload, role_name);
    vec![Child::new(ChildKind::Role, &role), Child::new(ChildKind::RoleBinding, &binding)]
}

fn role(workload: &Workload<'_>, name: String) -> Role {
    Role {
        metadata: workload.service.child_meta(name, labels::of_support(workload)),
        rules: Some(vec![
            may_read(&[""], "pods"),
            may_read(&["inference.networking.x-k8s.io", "inference.networking.k8s.io"], "inferencepools"),
        ]),
    }
}

fn binding(workload: &Workload<'_>, name: String, role: &str, account: &str) -> RoleBinding {
    RoleBinding {
        metadata: workload.service.child_meta(name, labels::of_support(workload)),
        role_ref: RoleRef {
            api_group: Some(API_GROUP.to_owned()),
            kind: "Role".to_owned(),
            name: role.to_owned(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".to_owned(),
            name: account.to_owned(),
            namespace: Some(workload.service.namespace.clone()),
            api_group: None,
        }]),
    }
}

fn may_read(groups: &[&str], resource: &str) -> PolicyRule {
    PolicyRule {
        api_groups: Some(groups.iter().map(|&it| it.to_owned()).collect()),
        resources: Some(vec![resource.to_owned()]),
        verbs: ["get", "list", "watch"].map(str::to_owned).to_vec(),
        ..Default::default()
    }
}
