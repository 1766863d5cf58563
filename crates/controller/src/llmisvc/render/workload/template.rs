//! One pod template: the merged pod spec with everything the controller adds to it.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::labels::{self, Map};
use super::{PodPosition, Workload};
use crate::llmisvc::render::storage;

/// The template of the workload's pods at `position`.
#[must_use]
pub fn render(workload: &Workload<'_>, position: PodPosition) -> PodTemplateSpec {
    let mut spec = workload.pod_spec(position).cloned().unwrap_or_default();
    storage::attach(workload, position, &mut spec);
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels::of_pods(workload, position)),
            annotations: non_empty(labels::pod_annotations(workload)),
            ..Default::default()
        }),
        spec: Some(spec),
    }
}

/// `None` for an empty map, which is how manifests say "nothing".
#[must_use]
pub fn non_empty(map: Map) -> Option<Map> {
    (!map.is_empty()).then_some(map)
}
