//! The endpoint picker's ServiceMonitor, and the account whose token it shows.
//!
//! The endpoint picker reviews the token of whoever reads its metrics. Prometheus must not show its own: the endpoint
//! picker is the user's program, and could use that token against the cluster. So each service has an account that may
//! do nothing but read metrics.

use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::core::ObjectMeta;
use llmd_api::meta::component;
use serde_json::json;

use super::{monitor, pod_labels};
use crate::children::{Child, ChildKind};
use crate::llmisvc::render::rbac::cluster_binding;
use crate::llmisvc::render::scheduler;
use crate::llmisvc::service::Service;

pub(super) fn render(service: &Service) -> Vec<Child> {
    let labels = service.child_labels(component::ROUTER_SCHEDULER);
    let mut endpoint = json!({ "port": "metrics", "path": "/metrics", "relabelings": pod_labels() });
    let mut children = Vec::new();
    if scheduler::reviews_metrics_readers(service) {
        let secret = json!({ "name": service.names().metrics_reader(), "key": "token" });
        endpoint["authorization"] = json!({ "type": "Bearer", "credentials": secret });
        children.extend([account(service), token(service), binding(service)]);
    }
    let spec = json!({ "selector": { "matchLabels": labels }, "endpoints": [endpoint] });
    let name = service.names().scheduler_monitor();
    children.push(monitor(service, ChildKind::ServiceMonitor, name, component::ROUTER_SCHEDULER, &spec));
    children
}

fn metadata(service: &Service) -> ObjectMeta {
    let labels = service.child_labels(component::ROUTER_SCHEDULER);
    service.child_meta(service.names().metrics_reader(), labels)
}

fn account(service: &Service) -> Child {
    let account = ServiceAccount {
        metadata: metadata(service),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    };
    Child::new(ChildKind::ServiceAccount, &account)
}

/// Kubernetes fills in the account's token.
fn token(service: &Service) -> Child {
    let mut metadata = metadata(service);
    let account = service.names().metrics_reader();
    metadata.annotations = Some([("kubernetes.io/service-account.name".to_owned(), account)].into());
    let secret = Secret {
        metadata,
        type_: Some("kubernetes.io/service-account-token".to_owned()),
        ..Secret::default()
    };
    Child::new(ChildKind::Secret, &secret)
}

/// Cluster-wide because paths are.
fn binding(service: &Service) -> Child {
    let names = service.names();
    let (name, account) = (names.metrics_binding(), names.metrics_reader());
    let role = &service.installation.metrics_reader_role;
    cluster_binding(service, name, component::ROUTER_SCHEDULER, role, &account)
}
