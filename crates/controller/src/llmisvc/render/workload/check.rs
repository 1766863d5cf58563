//! What is wrong with workloads in their surroundings: things that are missing in the cluster or in a pod, found
//! before anything is rendered.

use k8s_openapi::api::core::v1::PodSpec;
use llmd_api::meta;
use llmd_api::serving::conditions;

use super::accounts::AccountChoice;
use super::dra::ManagedDevices;
use super::{PodPosition, Workload, WorkloadRole, engine};
use crate::children::ChildKind;
use crate::llmisvc::section::SectionError;
use crate::llmisvc::service::Service;

/// Everything that keeps the service's workloads from running.
#[must_use]
pub fn check(service: &Service) -> Vec<SectionError> {
    Workload::all(service).flat_map(|it| check_one(&it)).collect()
}

fn check_one(workload: &Workload<'_>) -> Vec<SectionError> {
    let messages = [
        missing_api(workload),
        missing_pod(workload),
        missing_account(workload),
        engine::unsupported(workload),
    ];
    let devices = ManagedDevices::of(&workload.service.annotations);
    let device_messages = devices.iter().flat_map(|it| unclaimable(workload, it));
    messages.into_iter().flatten().chain(device_messages).map(|it| error(workload, it)).collect()
}

/// `message` on the condition of the workload.
fn error(workload: &Workload<'_>, message: String) -> SectionError {
    let condition = match (workload.role, workload.is_multi_node()) {
        (WorkloadRole::Main, false) => conditions::MAIN_WORKLOAD_READY,
        (WorkloadRole::Main, true) => conditions::WORKER_WORKLOAD_READY,
        (WorkloadRole::Prefill, false) => conditions::PREFILL_WORKLOAD_READY,
        (WorkloadRole::Prefill, true) => conditions::PREFILL_WORKER_WORKLOAD_READY,
    };
    let reason = if workload.is_multi_node() {
        "ReconcileMultiNodeWorkloadError"
    } else {
        "ReconcileSingleNodeWorkloadError"
    };
    SectionError::new(condition, reason, message)
}

fn missing_api(workload: &Workload<'_>) -> Option<String> {
    let is_missing = !workload.service.facts.apis.serve(workload.kind());
    is_missing.then(|| {
        let field = workload.pod_path(PodPosition::Worker);
        format!("{field}: the cluster does not serve LeaderWorkerSet: install leaderworkerset.x-k8s.io or remove the field")
    })
}

fn missing_pod(workload: &Workload<'_>) -> Option<String> {
    let is_empty = |it: &PodSpec| it.containers.is_empty();
    let empty = workload.pods().find(|(_, pod)| is_empty(pod)).map(|(position, _)| position);
    let absent = (workload.pods().next().is_none()).then_some(PodPosition::Single);
    let field = workload.pod_path(empty.or(absent)?);
    Some(format!("{field}.containers: no container is given, neither here nor by a preset or baseRef"))
}

fn missing_account(workload: &Workload<'_>) -> Option<String> {
    let service = workload.service;
    let AccountChoice::Named(name, position) = AccountChoice::of(workload) else { return None };
    service.facts.accounts.missing.contains(name).then(|| {
        let field = workload.pod_path(position);
        format!(
            "{field}.serviceAccountName: ServiceAccount {}/{name} does not exist: create it or remove the field",
            service.namespace
        )
    })
}

fn unclaimable(workload: &Workload<'_>, devices: &ManagedDevices<'_>) -> Vec<String> {
    if !workload.service.facts.apis.serve(ChildKind::ResourceClaimTemplate) {
        let annotation = meta::DRA_DEVICE_CLASS;
        return vec![format!(
            "metadata.annotations[{annotation}]: the cluster does not serve resource.k8s.io/v1: upgrade it or remove \
             the annotation"
        )];
    }
    let Some(name) = devices.container_name() else { return Vec::new() };
    let without = workload.pods().filter(|(_, pod)| devices.container(pod).is_none());
    let message = |position| {
        let field = workload.pod_path(position);
        format!("metadata.annotations[{}]: {field} has no container {name:?}", meta::DRA_CONTAINER_NAME)
    };
    without.map(|(position, _)| message(position)).collect()
}
