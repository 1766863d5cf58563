//! The endpoint picker's service account and its right to review the tokens of metric readers.

use k8s_openapi::api::core::v1::{PodSpec, ServiceAccount};
use kube::core::ObjectMeta;
use llmd_api::meta::component;

use crate::children::{Child, ChildKind};
use crate::llmisvc::render::rbac::{AUTH_DELEGATOR, cluster_binding};
use crate::llmisvc::service::Service;

pub(super) fn render(service: &Service, template: &PodSpec) -> Vec<Child> {
    let name = name(service, template);
    let generated = (name == service.names().scheduler_account()).then(|| account(service, &name));
    let binding = service.names().auth_binding();
    let binding = cluster_binding(service, binding, component::ROUTER_SCHEDULER, AUTH_DELEGATOR, &name);
    generated.into_iter().chain([binding]).collect()
}

/// The account that the endpoint picker runs as: the user's, or the generated one.
pub(super) fn name(service: &Service, template: &PodSpec) -> String {
    template
        .service_account_name
        .clone()
        .filter(|it| !it.is_empty())
        .unwrap_or_else(|| service.names().scheduler_account())
}

fn account(service: &Service, name: &str) -> Child {
    let copy = service.facts.scheduler.account.clone();
    let account = ServiceAccount {
        metadata: ObjectMeta {
            annotations: Some(copy.annotations).filter(|it| !it.is_empty()),
            ..service.child_meta(name.to_owned(), service.child_labels(component::ROUTER_SCHEDULER))
        },
        secrets: Some(copy.secrets).filter(|it| !it.is_empty()),
        image_pull_secrets: Some(copy.image_pull_secrets).filter(|it| !it.is_empty()),
        ..ServiceAccount::default()
    };
    Child::new(ChildKind::ServiceAccount, &account)
}
