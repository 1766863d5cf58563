//! The managed InferencePool: v1, and v1alpha2 where gateways of the first generation are installed.

use llmd_api::inference::{pool_v1, pool_v1alpha2};
use llmd_api::meta::component;
use llmd_api::serving::v1alpha2::SchedulerSpec;

use crate::children::{Child, ChildKind};
use crate::llmisvc::service::Service;

/// Both pools have the same name, so a route changes from one to the other by the group alone.
pub(super) fn render(service: &Service, scheduler: &SchedulerSpec) -> Vec<Child> {
    let Some(spec) = scheduler.pool.as_ref().and_then(|it| it.spec.as_ref()) else { return Vec::new() };
    let labels = service.child_labels(component::ROUTER_SCHEDULER);
    let metadata = service.child_meta(service.names().pool(), labels);
    let alpha = spec.to_v1alpha2().filter(|_| service.facts.apis.serve(ChildKind::InferencePoolV1Alpha2));
    let alpha = alpha.map(|spec| {
        let pool = pool_v1alpha2::InferencePool { metadata: metadata.clone(), spec, status: None };
        Child::new(ChildKind::InferencePoolV1Alpha2, &pool)
    });
    let pool = pool_v1::InferencePool { metadata, spec: spec.clone(), status: None };
    [Child::new(ChildKind::InferencePool, &pool)].into_iter().chain(alpha).collect()
}
