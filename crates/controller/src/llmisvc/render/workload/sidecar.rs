//! The routing sidecar, which presets put into decode pods: the proxy between prefill and decode.

use k8s_openapi::api::core::v1::PodSpec;

use super::{Workload, pod};
use crate::llmisvc::service::Service;

/// The restartable init container that is the sidecar.
pub const CONTAINER: &str = "llm-d-routing-sidecar";

/// Tells the sidecar which pool's members it may forward to.
const POOL_NAME: &str = "INFERENCE_POOL_NAME";

/// Whether any pod of the main workload has the sidecar. Prefill pods never forward.
#[must_use]
pub fn is_in(workload: &Workload<'_>) -> bool {
    !workload.is_prefill() && workload.pods().any(|(_, pod)| pod::init_container(pod, CONTAINER).is_some())
}

/// Names the pool to the sidecar of this pod, if it has one and the service is routed at all.
pub fn name_pool(service: &Service, pod: &mut PodSpec) {
    if service.spec.router.is_none() {
        return;
    }
    if let Some(sidecar) = pod::init_container_mut(pod, CONTAINER) {
        pod::set_variable_default(sidecar, pod::variable(POOL_NAME, service.pool_name()));
    }
}
