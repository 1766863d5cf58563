//! The model servers' PodMonitor.

use llmd_api::meta::{self, component};
use serde_json::json;

use super::{monitor, pod_labels};
use crate::children::{Child, ChildKind};
use crate::llmisvc::service::Service;

/// Port of a serving pod: the model server's, or the routing sidecar's that passes its metrics on.
const PORT: u16 = 8000;

/// Reads every pod that serves requests; workers of a multi-node group have no HTTP server.
///
/// The target is made of the pod's address and the port, because not every template declares its ports.
pub(super) fn render(service: &Service) -> Child {
    let names = service.names();
    let mut relabelings = vec![
        json!({ "sourceLabels": ["__meta_kubernetes_pod_container_name"], "regex": "main", "action": "keep" }),
        address("([^:]+)", &format!("$1:{PORT}")),
        address("(.*:.*)", &format!("[$1]:{PORT}")),
    ];
    relabelings.extend(pod_labels());
    let mut endpoint = json!({
        "path": "/metrics",
        "scheme": service.settings.workload_scheme(),
        "relabelings": relabelings,
    });
    if service.settings.ingress.enable_tls {
        endpoint["tlsConfig"] = json!({
            "ca": { "secret": { "name": names.certificate(), "key": "ca.crt" } },
            "serverName": format!("{}.{}.svc", names.workload_service(), service.namespace),
        });
    }
    let spec = json!({
        "selector": { "matchLabels": {
            meta::PART_OF: meta::PART_OF_VALUE,
            meta::NAME: service.name,
            meta::KSERVE_COMPONENT: meta::WORKLOAD,
        } },
        "podMetricsEndpoints": [endpoint],
    });
    monitor(service, ChildKind::PodMonitor, names.engine_monitor(), component::WORKLOAD, &spec)
}

/// Makes the target's address of a pod address of this form.
fn address(form: &str, target: &str) -> serde_json::Value {
    json!({
        "sourceLabels": ["__meta_kubernetes_pod_ip"],
        "regex": form,
        "replacement": target,
        "targetLabel": "__address__",
    })
}
