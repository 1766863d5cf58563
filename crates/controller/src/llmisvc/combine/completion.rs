//! What the controller itself fills in after presets, baseRefs and spec are combined.

use std::collections::BTreeMap;

use llmd_api::gateway::{
    BackendObjectReference, HttpRouteRule, HttpRouteSpec, ObjectReference, ParentReference,
};
use llmd_api::inference::pool_v1::{InferencePoolSpec, PortNumber};
use llmd_api::meta;
use llmd_api::serving::v1alpha2::{LLMInferenceServiceSpec, RouterSpec, SchedulerSpec};

use crate::names::Names;

const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";

/// Port of the endpoint picker's gRPC service.
const ENDPOINT_PICKER_PORT: i32 = 9002;

/// Completes the combined spec of the service `name`, whose children have `names`.
pub(super) fn complete(spec: &mut LLMInferenceServiceSpec, name: &str, names: Names<'_>) {
    if let Some(model) = &mut spec.model {
        model.name = model.name.take().filter(|it| !it.is_empty()).or_else(|| Some(name.to_owned()));
    }
    let Some(router) = &mut spec.router else {
        return;
    };
    if let Some(scheduler) = &mut router.scheduler {
        complete_scheduler(scheduler, name, names);
    }
    complete_route(router, names);
}

fn complete_scheduler(scheduler: &mut SchedulerSpec, name: &str, names: Names<'_>) {
    if let Some(pool) = scheduler.pool.as_mut().and_then(|it| it.spec.as_mut()) {
        complete_pool(pool, name);
    }
    if let Some(template) = &mut scheduler.template {
        let account = template.service_account_name.take().filter(|it| !it.is_empty());
        template.service_account_name = account.or_else(|| Some(names.scheduler_account()));
    }
}

/// A pool without selector selects the serving pods; an endpoint picker without port listens on the usual one.
fn complete_pool(pool: &mut InferencePoolSpec, name: &str) {
    if pool.selector.match_labels.is_empty() {
        pool.selector.match_labels = BTreeMap::from(
            [
                (meta::PART_OF, meta::PART_OF_VALUE),
                (meta::NAME, name),
                (meta::KSERVE_COMPONENT, meta::WORKLOAD),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned())),
        );
    }
    if let Some(picker) = &mut pool.endpoint_picker_ref
        && matches!(picker.kind.as_deref(), None | Some("" | "Service"))
        && picker.port.is_none_or(|it| it.number == 0)
    {
        picker.port = Some(PortNumber { number: ENDPOINT_PICKER_PORT });
    }
}

/// The managed route hangs on the service's own gateways, and leads to the pool that there is: the managed one, a
/// given one, or without scheduler none, then it leads straight to the pods.
fn complete_route(router: &mut RouterSpec, names: Names<'_>) {
    let Some(route) = router.route.as_mut().and_then(|it| it.http.as_mut()).and_then(|it| it.spec.as_mut())
    else {
        return;
    };
    route.rules.retain_mut(has_nameable_matches);
    let gateways = router.gateway.as_ref().map(|it| it.refs.as_slice()).unwrap_or_default();
    if !gateways.is_empty() {
        route.parent_refs = gateways.iter().map(parent).collect();
    }
    match &router.scheduler {
        None => for_each_default_backend(route, names, |backend| {
            backend.group = Some(String::new());
            backend.kind = Some("Service".to_owned());
            backend.name = names.workload_service();
        }),
        Some(scheduler) => {
            let pool =
                scheduler.pool.as_ref().and_then(|it| it.reference.as_ref()).map(|it| it.name.as_str());
            if let Some(pool) = pool.filter(|it| !it.is_empty()) {
                for_each_default_backend(route, names, |backend| pool.clone_into(&mut backend.name));
            }
        }
    }
}

/// Removes matches by a header without a name, which presets make where the installation names no header for models;
/// false when the rule has none left.
fn has_nameable_matches(rule: &mut HttpRouteRule) -> bool {
    let matches_everything = rule.matches.is_empty();
    rule.matches.retain(|it| it.headers.iter().all(|it| !it.name.is_empty()));
    matches_everything || !rule.matches.is_empty()
}

fn parent(gateway: &ObjectReference) -> ParentReference {
    ParentReference {
        group: Some(GATEWAY_GROUP.to_owned()),
        kind: Some("Gateway".to_owned()),
        namespace: gateway.namespace.clone().filter(|it| !it.is_empty()),
        name: gateway.name.clone(),
        section_name: gateway.section_name.clone(),
        port: None,
    }
}

/// Visits the backends that are the managed pool, whichever API group they name.
fn for_each_default_backend(
    route: &mut HttpRouteSpec,
    names: Names<'_>,
    visit: impl Fn(&mut BackendObjectReference),
) {
    let pool = names.pool();
    for rule in &mut route.rules {
        for backend in &mut rule.backend_refs {
            if backend.object.kind.as_deref() == Some("InferencePool") && backend.object.name == pool {
                visit(&mut backend.object);
            }
        }
    }
}
