//! Traces of the model servers: arguments and environment of their containers, where `spec.tracing` names an
//! endpoint. What the user set wins.

use k8s_openapi::api::core::v1::PodSpec;

use super::{Workload, WorkloadRole, pod};
use crate::llmisvc::render::tracing::export_env;

/// Makes the pod's server export traces.
pub fn inject(workload: &Workload<'_>, pod: &mut PodSpec) {
    let tracing = workload.service.spec.tracing.as_ref();
    let endpoint = tracing.and_then(|it| it.exporter_endpoint.as_deref()).filter(|it| !it.is_empty());
    let Some((endpoint, server)) = endpoint.zip(pod::container_mut(pod, pod::MAIN)) else { return };
    pod::set_flag_default(server, "--otlp-traces-endpoint", endpoint);
    pod::set_flag_default(server, "--collect-detailed-traces", "all");
    export_env(workload.service, service_name(workload.role), server);
}

/// The server's name in traces; also the only workload of a service counts as decode.
const fn service_name(role: WorkloadRole) -> &'static str {
    match role {
        WorkloadRole::Main => "inference-server-decode",
        WorkloadRole::Prefill => "inference-server-prefill",
    }
}
