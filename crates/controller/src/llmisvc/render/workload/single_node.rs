//! A workload whose replicas are single pods: a Deployment.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::{PodPosition, Workload, labels, rollout, template};
use crate::children::{Child, ChildKind};

/// The Deployment of a single-node workload.
///
/// A live Deployment keeps its selector, and its pods keep the labels which that selector needs, because selectors
/// cannot change.
#[must_use]
pub fn render(workload: &Workload<'_>) -> Child {
    let name = workload.name();
    let selector = workload.service.selector(&name, || labels::new_selector(workload));
    let mut pods = template::render(workload, PodPosition::Single);
    let pod_labels = pods.metadata.get_or_insert_default().labels.get_or_insert_default();
    pod_labels.extend(selector.clone());
    let mut metadata = workload.service.child_meta(name, labels::of_object(workload));
    metadata.annotations = template::non_empty(labels::object_annotations(workload));
    let deployment = Deployment {
        metadata,
        spec: Some(DeploymentSpec {
            replicas: workload.replicas(),
            selector: LabelSelector { match_labels: Some(selector), match_expressions: None },
            strategy: workload.spec.rollout_strategy.as_ref().map(rollout::of_deployment),
            template: pods,
            ..Default::default()
        }),
        status: None,
    };
    Child::new(ChildKind::Deployment, &deployment)
}
