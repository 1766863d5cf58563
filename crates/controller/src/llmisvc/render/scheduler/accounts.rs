//! The endpoint picker's service account and its right to review the tokens of metric readers.

use k8s_openapi::api::core::v1::{PodSpec, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleRef, Subject};
use kube::core::ObjectMeta;
use llmd_api::meta::{SERVICE_NAMESPACE, component};

use crate::children::{Child, ChildKind};
use crate::llmisvc::service::Service;
use crate::names::Names;

/// API group of roles and bindings.
pub(super) const RBAC_GROUP: &str = "rbac.authorization.k8s.io";
/// Built-in role that allows to create TokenReviews and SubjectAccessReviews.
const AUTH_DELEGATOR: &str = "system:auth-delegator";
const SERVICE_ACCOUNT: &str = "ServiceAccount";

pub(super) fn render(service: &Service, template: &PodSpec) -> Vec<Child> {
    let name = name(service, template);
    let generated = (name == service.names().scheduler_account()).then(|| account(service, &name));
    generated.into_iter().chain([auth_binding(service, &name)]).collect()
}

/// The account that the endpoint picker runs as: the user's, or the generated one.
pub(super) fn name(service: &Service, template: &PodSpec) -> String {
    template
        .service_account_name
        .clone()
        .filter(|it| !it.is_empty())
        .unwrap_or_else(|| service.names().scheduler_account())
}

/// The account `name` of the service's namespace as a subject of bindings.
pub(super) fn subject(service: &Service, name: &str) -> Subject {
    Subject {
        kind: SERVICE_ACCOUNT.to_owned(),
        name: name.to_owned(),
        namespace: Some(service.namespace.clone()),
        api_group: None,
    }
}

fn account(service: &Service, name: &str) -> Child {
    let copy = service.facts.scheduler.account.clone();
    let account = ServiceAccount {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(service.namespace.clone()),
            labels: Some(service.child_labels(component::ROUTER_SCHEDULER)),
            annotations: Some(copy.annotations).filter(|it| !it.is_empty()),
            ..ObjectMeta::default()
        },
        secrets: Some(copy.secrets).filter(|it| !it.is_empty()),
        image_pull_secrets: Some(copy.image_pull_secrets).filter(|it| !it.is_empty()),
        ..ServiceAccount::default()
    };
    Child::new(ChildKind::ServiceAccount, &account)
}

/// Cluster-wide, so nothing owns it: its labels say whose it is.
fn auth_binding(service: &Service, account: &str) -> Child {
    let mut labels = service.child_labels(component::ROUTER_SCHEDULER);
    labels.insert(SERVICE_NAMESPACE.to_owned(), service.namespace.clone());
    let binding = ClusterRoleBinding {
        metadata: ObjectMeta {
            name: Some(service.names().auth_binding()),
            labels: Some(labels),
            ..ObjectMeta::default()
        },
        role_ref: RoleRef {
            api_group: Some(RBAC_GROUP.to_owned()),
            kind: "ClusterRole".to_owned(),
            name: AUTH_DELEGATOR.to_owned(),
        },
        subjects: Some(vec![subject(service, account)]),
    };
    Child::new(ChildKind::ClusterRoleBinding, &binding).unowned()
}

/// Whether `binding` is the one that the other implementation made for the service `namespace`/`service`, so that it
/// may be deleted. Its name alone does not tell, because services of different namespaces can share it; its
/// subjects do.
#[must_use]
pub fn is_legacy_auth_binding(binding: &ClusterRoleBinding, namespace: &str, service: &str) -> bool {
    let is_named_so =
        binding.metadata.name.as_deref() == Some(&*Names::new(namespace, service).legacy_auth_binding());
    let delegates = binding.role_ref.kind == "ClusterRole" && binding.role_ref.name == AUTH_DELEGATOR;
    let subjects = binding.subjects.as_deref().unwrap_or_default();
    let is_ours = |it: &Subject| it.kind == SERVICE_ACCOUNT && it.namespace.as_deref() == Some(namespace);
    is_named_so && delegates && !subjects.is_empty() && subjects.iter().all(is_ours)
}
