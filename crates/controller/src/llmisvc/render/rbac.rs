//! Roles, bindings and their parts, as every section of a service makes them: a role of the service's namespace bound to
//! one of its accounts, or a role of the cluster bound across namespaces.

use std::collections::BTreeMap;

use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject};
use kube::core::ObjectMeta;
use llmd_api::meta::SERVICE_NAMESPACE;

use crate::children::{Child, ChildKind};
use crate::llmisvc::service::Service;

/// Built-in ClusterRole that allows to create TokenReviews and SubjectAccessReviews.
pub const AUTH_DELEGATOR: &str = "system:auth-delegator";

/// Verbs of whoever only looks.
pub const READ: &[&str] = &["get", "list", "watch"];

/// A Role of these names for role and binding, with the binding to `account`.
pub fn role(
    service: &Service,
    [role, binding]: [String; 2],
    labels: BTreeMap<String, String>,
    rules: Vec<PolicyRule>,
    account: &str,
) -> [Child; 2] {
    let binding = RoleBinding {
        metadata: service.child_meta(binding, labels.clone()),
        role_ref: reference("Role", &role),
        subjects: Some(vec![subject(service, account)]),
    };
    let role = Role { metadata: service.child_meta(role, labels), rules: Some(rules) };
    [Child::new(ChildKind::Role, &role), Child::new(ChildKind::RoleBinding, &binding)]
}

/// Binds `account` to a ClusterRole for the whole cluster. Nothing in a namespace can own that: the labels say whose it
/// is.
pub fn cluster_binding(service: &Service, name: String, component: &str, role: &str, account: &str) -> Child {
    let mut labels = service.child_labels(component);
    labels.insert(SERVICE_NAMESPACE.to_owned(), service.namespace.clone());
    let binding = ClusterRoleBinding {
        metadata: ObjectMeta { name: Some(name), labels: Some(labels), ..ObjectMeta::default() },
        role_ref: reference("ClusterRole", role),
        subjects: Some(vec![subject(service, account)]),
    };
    Child::new(ChildKind::ClusterRoleBinding, &binding).unowned()
}

/// A rule of a role.
pub fn rule(groups: &[&str], resources: &[&str], verbs: &[&str]) -> PolicyRule {
    let owned = |words: &[&str]| words.iter().map(|&it| it.to_owned()).collect::<Vec<_>>();
    PolicyRule {
        api_groups: Some(owned(groups)),
        resources: Some(owned(resources)),
        verbs: owned(verbs),
        ..PolicyRule::default()
    }
}

fn reference(kind: &str, name: &str) -> RoleRef {
    RoleRef {
        api_group: Some("rbac.authorization.k8s.io".to_owned()),
        kind: kind.to_owned(),
        name: name.to_owned(),
    }
}

/// An account of the service's namespace.
fn subject(service: &Service, account: &str) -> Subject {
    Subject {
        kind: "ServiceAccount".to_owned(),
        name: account.to_owned(),
        namespace: Some(service.namespace.clone()),
        api_group: None,
    }
}
