//! PodMonitor and ServiceMonitor of the Prometheus operator, where the installation wants them and the cluster has
//! them.
//!
//! Each service owns its monitors: they come and go with it, and a change of one service touches no other's. The
//! metrics carry the service's name, role and component as `llm_isvc_name`, `llm_isvc_role` and `llm_isvc_component`.

use serde_json::{Value, json};

use crate::children::{Child, ChildKind};
use crate::llmisvc::render::scheduler;
use crate::llmisvc::service::Service;

mod endpoint_picker;
mod engine;

/// The objects of this part.
#[must_use]
pub fn render(service: &Service) -> Vec<Child> {
    if !service.installation.monitoring {
        return Vec::new();
    }
    let serves = |kind| service.facts.apis.serve(kind);
    let mut children = Vec::new();
    if serves(ChildKind::PodMonitor) {
        children.push(engine::render(service));
    }
    if serves(ChildKind::ServiceMonitor) && scheduler::has_endpoint_picker(service) {
        children.extend(endpoint_picker::render(service));
    }
    children
}

/// A monitor of the service.
fn monitor(service: &Service, kind: ChildKind, name: String, component: &str, spec: &Value) -> Child {
    let resource = kind.api_resource();
    let body = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {
            "name": name,
            "namespace": service.namespace,
            "labels": service.child_labels(component),
        },
        "spec": spec,
    });
    Child { kind, namespace: Some(service.namespace.clone()), name, body, owned: true }
}

/// Copies what the pods are labelled with to the metrics.
fn pod_labels() -> [Value; 3] {
    [
        ("app_kubernetes_io_name", "llm_isvc_name"),
        ("llm_d_ai_role", "llm_isvc_role"),
        ("app_kubernetes_io_component", "llm_isvc_component"),
    ]
    .map(|(label, target)| {
        json!({ "sourceLabels": [format!("__meta_kubernetes_pod_label_{label}")], "targetLabel": target })
    })
}

#[cfg(test)]
mod tests;
