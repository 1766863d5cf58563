//! One pod template: the merged pod spec with everything that the controller adds to it.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::accounts::AccountChoice;
use super::labels::{self, Map};
use super::{PodPosition, Workload, dra, sidecar, tracing};
use crate::llmisvc::render::storage;

/// The template of the workload's pods at `position`.
#[must_use]
pub fn render(workload: &Workload<'_>, position: PodPosition) -> PodTemplateSpec {
    let mut pod = workload.pod_spec(position).cloned().unwrap_or_default();
    if let Some(account) = AccountChoice::of(workload).name() {
        pod.service_account_name = Some(account.to_owned());
    }
    storage::attach(workload, position, &mut pod);
    sidecar::name_pool(workload.service, &mut pod);
    dra::claim(workload.service, &mut pod);
    tracing::inject(workload, &mut pod);
    let metadata = ObjectMeta {
        labels: Some(labels::of_pods(workload, position)),
        annotations: non_empty(labels::pod_annotations(workload, position)),
        ..Default::default()
    };
    PodTemplateSpec { metadata: Some(metadata), spec: Some(pod) }
}

/// `None` for an empty map, which is how manifests say "nothing".
#[must_use]
pub fn non_empty(map: Map) -> Option<Map> {
    (!map.is_empty()).then_some(map)
}
