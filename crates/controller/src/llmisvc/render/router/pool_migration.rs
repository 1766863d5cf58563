//! Which generation of the managed pool the managed route names.
//!
//! Gateways understand `inference.networking.x-k8s.io`, `inference.networking.k8s.io`, or both. A route starts
//! with the former and moves to the latter once a gateway is known to read it; the annotation on the route makes
//! the move final, so a gateway that restarts cannot move it back.

use llmd_api::gateway::{HttpRouteSpec, RouteParentStatus};
use llmd_api::meta;

use super::backend;
use crate::children::ChildKind;
use crate::live::LiveRoute;
use crate::llmisvc::render::scheduler;
use crate::llmisvc::service::Service;

/// Writes the API group of the managed pool into the backends that name it.
pub fn apply(service: &Service, spec: &mut HttpRouteSpec) {
    if !has_managed_pool(service) {
        return;
    }
    let group = pool_kind(service).group();
    for it in spec.rules.iter_mut().flat_map(|it| &mut it.backend_refs) {
        if backend::is_managed_pool(service, &it.object) {
            it.object.group = Some(group.to_owned());
        }
    }
}

/// Whether the controller makes this service's pool.
#[must_use]
pub fn has_managed_pool(service: &Service) -> bool {
    scheduler::managed(service).is_some()
}

/// The kind of pool that routes to this service name.
#[must_use]
pub fn pool_kind(service: &Service) -> ChildKind {
    if has_managed_pool(service) && !is_migrated(service) {
        ChildKind::InferencePoolV1Alpha2
    } else {
        ChildKind::InferencePool
    }
}

/// Whether the managed route names the v1 pool for good.
#[must_use]
pub fn is_migrated(service: &Service) -> bool {
    if !has_managed_pool(service) {
        return false;
    }
    let live = service.facts.live.route(&service.names().route());
    !service.facts.apis.serve(ChildKind::InferencePoolV1Alpha2)
        || live.is_some_and(|it| is_locked(it) || reads_v1(service, it) || rejects_v1alpha2(service, it))
}

fn is_locked(live: &LiveRoute) -> bool {
    live.annotations.get(meta::POOL_MIGRATED).is_some_and(|it| it == "v1")
}

/// The route names the v1 pool already and some gateway knows the kind.
fn reads_v1(service: &Service, live: &LiveRoute) -> bool {
    names_pool_of(service, live, ChildKind::InferencePool)
        && current_parents(live).any(|it| knows_kind(it) == Some(true))
}

/// The route names the v1alpha2 pool and every gateway that reports says it does not know the kind.
fn rejects_v1alpha2(service: &Service, live: &LiveRoute) -> bool {
    let mut verdicts = current_parents(live).filter_map(knows_kind).peekable();
    names_pool_of(service, live, ChildKind::InferencePoolV1Alpha2)
        && verdicts.peek().is_some()
        && verdicts.all(|it| !it)
}

fn names_pool_of(service: &Service, live: &LiveRoute, kind: ChildKind) -> bool {
    let mut backends = live.spec.rules.iter().flat_map(|it| &it.backend_refs);
    backends.any(|it| {
        backend::is_managed_pool(service, &it.object) && it.object.group.as_deref() == Some(kind.group())
    })
}

/// What parents say that the route still has.
fn current_parents(live: &LiveRoute) -> impl Iterator<Item = &RouteParentStatus> {
    live.status.parents.iter().filter(|it| live.spec.parent_refs.contains(&it.parent_ref))
}

/// Whether the gateway knows the kinds of the route's backends; `None` when it does not say.
fn knows_kind(parent: &RouteParentStatus) -> Option<bool> {
    let resolved = parent.conditions.iter().find(|it| it.type_ == "ResolvedRefs")?;
    Some(!(resolved.status == "False" && resolved.reason == "InvalidKind"))
}
