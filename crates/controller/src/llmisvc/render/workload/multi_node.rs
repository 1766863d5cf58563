//! A workload whose replicas are groups of pods: a LeaderWorkerSet. The leader serves, the workers follow it.

use llmd_api::lws::{LeaderWorkerSet, LeaderWorkerSetSpec, LeaderWorkerTemplate, SubGroupPolicy};
use llmd_api::serving::v1alpha2::ParallelismSpec;

use super::{PodPosition, Workload, labels, rollout, template};
use crate::children::{Child, ChildKind};

/// The LeaderWorkerSet of a multi-node workload.
///
/// Without a template of its own the leader is made from the worker's.
#[must_use]
pub fn render(workload: &Workload<'_>) -> Child {
    let service = workload.service;
    let name = workload.name();
    let size = workload.spec.parallelism.as_ref().and_then(ParallelismSpec::size);
    let has_leader = workload.spec.template.is_some();
    let spec = LeaderWorkerSetSpec {
        replicas: workload.replicas(),
        leader_worker_template: LeaderWorkerTemplate {
            leader_template: has_leader.then(|| template::render(workload, PodPosition::Leader)),
            worker_template: template::render(workload, PodPosition::Worker),
            size,
            restart_policy: Some("RecreateGroupOnPodRestart".to_owned()),
            sub_group_policy: sub_group_size(workload, &name, size)
                .map(|it| SubGroupPolicy { sub_group_size: Some(it), sub_group_policy_type: None }),
        },
        rollout_strategy: Some(rollout::of_groups(workload.spec.rollout_strategy.as_ref())),
        startup_policy: Some("LeaderCreated".to_owned()),
        network_config: None,
    };
    let mut metadata = service.child_meta(name, labels::of_object(workload));
    metadata.annotations = template::non_empty(labels::object_annotations(workload));
    Child::new(ChildKind::LeaderWorkerSet, &LeaderWorkerSet { metadata, spec, status: None })
}

/// Pods in a sub-group: the whole group where prefill is data-parallel. A live LeaderWorkerSet keeps what it has,
/// because its API refuses to add, change or remove sub-groups.
fn sub_group_size(workload: &Workload<'_>, name: &str, size: Option<i32>) -> Option<i32> {
    if let Some(live) = workload.service.facts.live.leader_worker_set(name) {
        return live.sub_group_size;
    }
    let is_data_parallel = workload.spec.parallelism.as_ref().is_some_and(ParallelismSpec::is_data_parallel);
    size.filter(|_| workload.is_prefill() && is_data_parallel)
}
