//! Labels and annotations of workload objects and their pods.
//!
//! Three sets are kept apart: a Deployment's selector, which can never change; the labels by which the pool and the
//! endpoint picker find pods; and what the user adds. User labels never get into a selector and never replace ours.

use std::collections::BTreeMap;

use llmd_api::meta::{self, component};

use super::{PodPosition, Workload, WorkloadRole};
use crate::llmisvc::service::Service;

/// Label or annotation keys to values.
pub type Map = BTreeMap<String, String>;

/// Key prefixes of the service's labels that its workload objects and pods carry too.
const LABEL_PREFIXES: &[&str] = &["kueue.x-k8s.io", "internal.serving.kserve.io/localmodel"];

/// Key prefixes of the service's annotations that its workload objects and pods carry too.
const ANNOTATION_PREFIXES: &[&str] =
    &["k8s.v1.cni.cncf.io", "kueue.x-k8s.io", "internal.serving.kserve.io/localmodel"];

/// The same for LeaderWorkerSets and their pods, in addition.
const GROUP_ANNOTATION_PREFIXES: &[&str] = &["leaderworkerset.sigs.k8s.io"];

/// The same for pods that answer requests, which are those that have metrics to scrape.
const SERVING_ANNOTATION_PREFIXES: &[&str] = &["prometheus.io"];

/// The labels by which every object of the service is found.
#[must_use]
pub fn identity(service: &Service) -> Map {
    let mut labels = service.child_labels("");
    labels.remove(meta::COMPONENT);
    labels
}

/// Selector of a Deployment that does not exist yet. The role is not in it, so a service can be disaggregated later.
#[must_use]
pub fn new_selector(workload: &Workload<'_>) -> Map {
    let mut labels = workload.service.child_labels(component_of(workload, PodPosition::Single));
    labels.insert(meta::KSERVE_COMPONENT.to_owned(), meta::WORKLOAD.to_owned());
    labels
}

/// Labels of what the workload's pods run with: their account and its permissions.
#[must_use]
pub fn of_support(workload: &Workload<'_>) -> Map {
    if workload.is_multi_node() {
        return identity(workload.service);
    }
    workload.service.child_labels(component_of(workload, PodPosition::Single))
}

/// Labels of the object that runs the workload.
#[must_use]
pub fn of_object(workload: &Workload<'_>) -> Map {
    let position = if workload.is_multi_node() { PodPosition::Worker } else { PodPosition::Single };
    let mut labels = propagated_labels(workload.service);
    labels.extend(ours(workload, position));
    labels
}

/// Labels of the workload's pods at `position`.
#[must_use]
pub fn of_pods(workload: &Workload<'_>, position: PodPosition) -> Map {
    let mut labels = propagated_labels(workload.service);
    labels.extend(workload.spec.labels.clone());
    labels.extend(ours(workload, position));
    labels
}

/// Annotations of the object that runs the workload.
#[must_use]
pub fn object_annotations(workload: &Workload<'_>) -> Map {
    let given = &workload.service.annotations;
    let mut annotations = with_prefix(given, ANNOTATION_PREFIXES);
    if workload.is_multi_node() {
        annotations.extend(with_prefix(given, GROUP_ANNOTATION_PREFIXES));
    }
    annotations
}

/// Annotations of the workload's pods at `position`.
#[must_use]
pub fn pod_annotations(workload: &Workload<'_>, position: PodPosition) -> Map {
    let mut annotations = object_annotations(workload);
    if is_serving(workload, position) {
        annotations.extend(with_prefix(&workload.service.annotations, SERVING_ANNOTATION_PREFIXES));
    }
    annotations.extend(user_annotations(&workload.spec.annotations));
    annotations
}

/// `spec.annotations` without the switch for routing by model, which is not for pods.
#[must_use]
pub fn user_annotations(annotations: &Map) -> Map {
    let mut annotations = annotations.clone();
    annotations.remove(meta::MODEL_BASED_ROUTING);
    annotations
}

/// Value of the label `component` of the workload's pods at `position`.
#[must_use]
pub const fn component_of(workload: &Workload<'_>, position: PodPosition) -> &'static str {
    match (workload.role, position) {
        (WorkloadRole::Main, PodPosition::Single) => component::WORKLOAD,
        (WorkloadRole::Main, PodPosition::Leader) => component::WORKLOAD_LEADER,
        (WorkloadRole::Main, PodPosition::Worker) => component::WORKLOAD_WORKER,
        (WorkloadRole::Prefill, PodPosition::Single) => component::WORKLOAD_PREFILL,
        (WorkloadRole::Prefill, PodPosition::Leader) => component::WORKLOAD_LEADER_PREFILL,
        (WorkloadRole::Prefill, PodPosition::Worker) => component::WORKLOAD_WORKER_PREFILL,
    }
}

/// Whether the workload's pods at `position` answer requests. Workers do where they are leaders too, for want of a
/// leader template, and where the workload's labels make them members of the pool.
#[must_use]
pub fn is_serving(workload: &Workload<'_>, position: PodPosition) -> bool {
    position != PodPosition::Worker
        || workload.spec.template.is_none()
        || workload.spec.labels.get(meta::KSERVE_COMPONENT).is_some_and(|it| it == meta::WORKLOAD)
}

/// The labels this controller decides on; pods that serve by their position are members of the pool and tell their
/// role.
fn ours(workload: &Workload<'_>, position: PodPosition) -> Map {
    let mut labels = workload.service.child_labels(component_of(workload, position));
    if workload.positions().first() == Some(&position) {
        labels.insert(meta::KSERVE_COMPONENT.to_owned(), meta::WORKLOAD.to_owned());
        labels.insert(meta::ROLE.to_owned(), role_of(workload, position).to_owned());
    }
    labels
}

/// Value of the label `llm-d.ai/role`.
fn role_of(workload: &Workload<'_>, position: PodPosition) -> &'static str {
    match workload.role {
        WorkloadRole::Prefill => "prefill",
        WorkloadRole::Main if workload.service.is_disaggregated() => "decode",
        WorkloadRole::Main if position == PodPosition::Worker => "decode",
        WorkloadRole::Main => "both",
    }
}

fn propagated_labels(service: &Service) -> Map {
    with_prefix(&service.labels, LABEL_PREFIXES)
}

fn with_prefix(map: &Map, prefixes: &[&str]) -> Map {
    map.iter()
        .filter(|(key, _)| prefixes.iter().any(|it| key.starts_with(it)))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}
