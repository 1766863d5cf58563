//! On which condition a failure at one of the service's objects is reported.

use llmd_api::meta::{self, component};
use llmd_api::serving::conditions as types;
use llmd_common::report::Report;

use super::section::SectionError;
use crate::apply::ApplyError;
use crate::children::{Child, ChildKind};

/// Reason of what is wrong with the configs of a stopped service.
pub const STOPPED: &str = "Stopped";

/// Whether nothing may be rendered while this failure lasts. What lies around the service, such as a gateway that does
/// not exist yet, does not keep its pods from starting.
#[must_use]
pub fn blocks(failure: &SectionError) -> bool {
    let is_stopped = failure.condition == types::PRESETS_COMBINED && failure.reason == STOPPED;
    !is_stopped
        && !matches!(
            failure.condition,
            types::GATEWAYS_READY
                | types::HTTP_ROUTES_READY
                | types::INFERENCE_POOL_READY
                | types::GROUP_READY
                | types::GROUP_DEGRADED
                | types::OCI_IMAGE_VOLUME_COMPATIBLE
        )
}

/// The failure that `error` at one of `children`, or at an object to be removed, means for the service.
#[must_use]
pub fn failure_of(error: &ApplyError, children: &[Child]) -> SectionError {
    let child = children.iter().find(|it| it.kind == error.kind() && it.name == error.name());
    let labels = child.and_then(|it| it.body.pointer("/metadata/labels"));
    let role = labels.and_then(|it| it.get(meta::COMPONENT)).and_then(|it| it.as_str()).unwrap_or_default();
    let is_crd_missing = matches!(error, ApplyError::NotServed { .. });
    let (condition, reason) = place(error.kind(), role, is_crd_missing);
    SectionError::new(condition, reason, Report(error).to_string())
}

/// Condition and reason for a kind in a role.
fn place(kind: ChildKind, role: &str, is_crd_missing: bool) -> (&'static str, &'static str) {
    use types::{
        HTTP_ROUTES_READY, MAIN_WORKLOAD_READY, PREFILL_WORKER_WORKLOAD_READY, PREFILL_WORKLOAD_READY,
        SCHEDULER_WORKLOAD_READY, TOKENIZER_READY, WORKER_WORKLOAD_READY,
    };
    const SINGLE_NODE: &str = "ReconcileSingleNodeWorkloadError";
    const MULTI_NODE: &str = "ReconcileMultiNodeWorkloadError";
    match (kind, role) {
        (ChildKind::HttpRoute, _) => (HTTP_ROUTES_READY, "HTTPRouteReconcileError"),
        (ChildKind::InferencePool | ChildKind::InferencePoolV1Alpha2 | ChildKind::ClusterRoleBinding, _)
        | (_, component::ROUTER_SCHEDULER) => (SCHEDULER_WORKLOAD_READY, "SchedulerReconcileError"),
        (_, component::TOKENIZER) => (TOKENIZER_READY, "SchedulerReconcileError"),
        (ChildKind::Secret, _) => (MAIN_WORKLOAD_READY, "ReconcileCertsError"),
        (ChildKind::ServiceAccount | ChildKind::Role | ChildKind::RoleBinding, _) => {
            (MAIN_WORKLOAD_READY, "ReconcileWorkloadPermissionsError")
        }
        (ChildKind::Service, _) => (MAIN_WORKLOAD_READY, "ReconcileWorkloadServiceError"),
        (ChildKind::HorizontalPodAutoscaler | ChildKind::ScaledObject, _) => {
            let reason = if is_crd_missing { "ScalingCRDNotFound" } else { "ReconcileScalingError" };
            (MAIN_WORKLOAD_READY, reason)
        }
        (ChildKind::LeaderWorkerSet, component::WORKLOAD_WORKER_PREFILL) => {
            (PREFILL_WORKER_WORKLOAD_READY, MULTI_NODE)
        }
        (ChildKind::LeaderWorkerSet, _) => (WORKER_WORKLOAD_READY, MULTI_NODE),
        (ChildKind::Deployment, component::WORKLOAD_PREFILL) => (PREFILL_WORKLOAD_READY, SINGLE_NODE),
        (
            ChildKind::Deployment
            | ChildKind::ConfigMap
            | ChildKind::ResourceClaimTemplate
            | ChildKind::PodMonitor
            | ChildKind::ServiceMonitor,
            _,
        ) => (MAIN_WORKLOAD_READY, SINGLE_NODE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn failure(kind: ChildKind, role: &str) -> (&'static str, &'static str) {
        let child = Child {
            kind,
            namespace: None,
            name: "it".to_owned(),
            body: json!({"metadata": {"labels": {meta::COMPONENT: role}}}),
            owned: true,
        };
        let failure = failure_of(&ApplyError::NotServed { kind, name: "it".to_owned() }, &[child]);
        (failure.condition, failure.reason)
    }

    #[test]
    fn the_role_of_an_object_decides_where_its_failure_is_reported() {
        let main = failure(ChildKind::Deployment, component::WORKLOAD);
        assert_eq!(main, ("MainWorkloadReady", "ReconcileSingleNodeWorkloadError"));
        let picker = failure(ChildKind::Deployment, component::ROUTER_SCHEDULER);
        assert_eq!(picker, ("SchedulerWorkloadReady", "SchedulerReconcileError"));
        let scaling = failure(ChildKind::ScaledObject, component::WORKLOAD);
        assert_eq!(scaling, ("MainWorkloadReady", "ScalingCRDNotFound"));
        let workers = failure(ChildKind::LeaderWorkerSet, component::WORKLOAD_WORKER_PREFILL);
        assert_eq!(workers, ("PrefillWorkerWorkloadReady", "ReconcileMultiNodeWorkloadError"));
    }
}
