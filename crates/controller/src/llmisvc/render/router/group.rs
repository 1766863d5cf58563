//! Routing groups: services of one namespace that answer for the same models share the requests by weight.
//!
//! Every member writes only its own route. Each route holds all members, so whichever route a gateway prefers,
//! the shares are the same. Rules under the member's own path `/<namespace>/<name>` stay its own.

use llmd_api::gateway::{BackendObjectReference, HttpBackendRef, HttpRouteRule, HttpRouteSpec};
use llmd_api::meta;
use llmd_api::serving::conditions as types;
use llmd_api::serving::status::LLMInferenceServiceStatus;
use llmd_api::serving::v1alpha2::LLMInferenceService;

use super::backend::{self, BackendKind};
use super::{models, pool_migration, route};
use crate::children::ChildKind;
use crate::llmisvc::facts::routing::{Peer, pool_reference};
use crate::llmisvc::service::Service;
use crate::names::Names;

/// The group of a service as it stands now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    /// Who takes part, the service itself included, by name.
    pub members: Vec<Member>,
    /// Names of services of the group that answer for other models, and so get no share.
    pub divergent: Vec<String>,
}

/// One service of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub name: String,
    pub weight: i32,
    /// A stopped member keeps its place and gets no requests.
    pub stopped: bool,
    /// Where inference requests go: the pool, or without one the workload Service.
    pub backend: BackendObjectReference,
    /// Where all other requests go.
    pub service: BackendObjectReference,
}

/// The group that the service belongs to.
#[must_use]
pub fn group(service: &Service) -> Option<Group> {
    let route = route(service)?;
    let name = route.group.clone()?;
    let served = models::served(service);
    let peers = service.facts.routing.peers.iter();
    let (matching, divergent): (Vec<_>, Vec<_>) = peers
        .filter(|(_, it)| group_of(&it.object) == Some(name.as_str()) && is_eligible(service, &it.object))
        .partition(|(_, it)| models::advertised(&it.object) == served);
    let mut members: Vec<Member> =
        matching.into_iter().map(|(peer, it)| member(service, peer, &it.object)).collect();
    members.push(this(service, route.weight));
    members.sort_by(|a, b| a.name.cmp(&b.name));
    let divergent = divergent.into_iter().map(|(peer, _)| peer.clone()).collect();
    Some(Group { name, members, divergent })
}

/// Gives every member its share in the rules that the group has in common.
pub fn apply(service: &Service, spec: &mut HttpRouteSpec) {
    let Some(group) = group(service) else { return };
    for rule in spec.rules.iter_mut().filter(|it| !is_private(service, it)) {
        share(service, &group, rule);
    }
}

/// Names of the peers whose routes still send requests to `object`, which must not go before them. A backend
/// that the peer uses itself does not count: several services may name one pool.
#[must_use]
pub fn awaited<'a>(object: &LLMInferenceService, peers: impl IntoIterator<Item = &'a Peer>) -> Vec<String> {
    let backends = backends_of(object);
    let live = peers.into_iter().filter(|it| it.object.metadata.deletion_timestamp.is_none());
    live.filter(|it| {
        let own = backends_of(&it.object);
        let mut routed = it.route.iter().flat_map(|it| &it.spec.rules).flat_map(|it| &it.backend_refs);
        routed.any(|it| {
            let key = backend_key(&it.object);
            backends.contains(&key) && !own.contains(&key)
        })
    })
    .filter_map(|it| it.object.metadata.name.clone())
    .collect()
}

/// The group in the spec, or the one that a baseRef gave and the status tells.
pub fn group_of(object: &LLMInferenceService) -> Option<&str> {
    let spec = object.spec.router.as_ref().and_then(|it| it.route.as_ref()?.group.as_deref());
    spec.or_else(|| Some(object.status.as_ref()?.router.as_ref()?.group.as_ref()?.name.as_str()))
}

fn weight_of(object: &LLMInferenceService) -> i32 {
    let spec = object.spec.router.as_ref().and_then(|it| it.route.as_ref()?.weight);
    let told = || {
        let group = object.status.as_ref()?.router.as_ref()?.group.as_ref()?;
        let own = group.members.iter().find(|it| Some(&it.name) == object.metadata.name.as_ref());
        own.map(|it| it.weight)
    };
    spec.or_else(told).unwrap_or(0)
}

/// Whether a peer takes part: it stays, and it is stopped or able to serve. One that has a share keeps it while its
/// workloads run: its router is unready for a moment after each change of its route, and each new share is such a
/// change, so members would put each other out in turns.
fn is_eligible(service: &Service, object: &LLMInferenceService) -> bool {
    let serves = object
        .status
        .as_ref()
        .is_some_and(|it| is_running(it) && (is_router_ready(it) || has_share(service, object)));
    object.metadata.deletion_timestamp.is_none() && (is_stopped(object) || serves)
}

/// Whether the service's route sends requests to the peer as it is.
fn has_share(service: &Service, object: &LLMInferenceService) -> bool {
    let backends = backends_of(object);
    let route = service.facts.live.route(&service.names().route());
    let mut routed = route.into_iter().flat_map(|it| &it.spec.rules).flat_map(|it| &it.backend_refs);
    routed.any(|it| backends.contains(&backend_key(&it.object)))
}

fn is_stopped(object: &LLMInferenceService) -> bool {
    object.metadata.annotations.as_ref().is_some_and(meta::is_stopped)
}

fn is_router_ready(status: &LLMInferenceServiceStatus) -> bool {
    status.conditions.iter().any(|it| it.type_ == types::ROUTER_READY && it.status == "True")
}

/// Every workload has a replica that serves.
fn is_running(status: &LLMInferenceServiceStatus) -> bool {
    let workloads = status.workloads.iter().flat_map(|it| [&it.primary, &it.prefill, &it.scheduler]);
    workloads.flatten().all(|it| it.ready_replicas.unwrap_or(0) > 0)
}

fn this(service: &Service, weight: Option<i32>) -> Member {
    let own_service = backend::workload_service(service.names().workload_service());
    let pool = if let Some(name) = pool_reference(&service.spec) {
        Some(backend::pool(ChildKind::InferencePool, name))
    } else if pool_migration::has_managed_pool(service) {
        Some(backend::pool(pool_migration::pool_kind(service), service.names().pool()))
    } else {
        None
    };
    Member {
        name: service.name.clone(),
        weight: weight.unwrap_or(0),
        stopped: service.is_stopped(),
        backend: pool.unwrap_or_else(|| own_service.clone()),
        service: own_service,
    }
}

fn member(service: &Service, name: &str, object: &LLMInferenceService) -> Member {
    let own_service = backend::workload_service(Names::new(&service.namespace, name).workload_service());
    Member {
        name: name.to_owned(),
        weight: weight_of(object),
        stopped: is_stopped(object),
        backend: pool_of(service, object).unwrap_or_else(|| own_service.clone()),
        service: own_service,
    }
}

/// A peer's pool. Managed pools of one group hang on the same gateways, so the generation that this service's
/// route uses serves for the peers' as well.
fn pool_of(service: &Service, object: &LLMInferenceService) -> Option<BackendObjectReference> {
    if let Some(name) = pool_reference(&object.spec) {
        return Some(backend::pool(ChildKind::InferencePool, name));
    }
    let scheduler = object.status.as_ref()?.router.as_ref()?.scheduler.as_ref()?;
    let name = &scheduler.inference_pool.as_ref()?.name;
    Some(backend::pool(pool_migration::pool_kind(service), name))
}

/// Whether the rule serves the member's own path.
fn is_private(service: &Service, rule: &HttpRouteRule) -> bool {
    let own = format!("/{}/{}", service.namespace, service.name);
    let mut paths = rule.matches.iter().filter_map(|it| it.path.as_ref()?.value.as_deref());
    paths.any(|it| it.strip_prefix(&own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

/// Replaces the service's backend in the rule by one backend for each member that runs.
fn share(service: &Service, group: &Group, rule: &mut HttpRouteRule) {
    let backends = std::mem::take(&mut rule.backend_refs);
    let (own, others): (Vec<_>, Vec<_>) =
        backends.into_iter().partition(|it| backend::is_own(service, &it.object));
    if let Some(own) = own.first() {
        let to_services = backend::kind_of(&own.object) == BackendKind::Service;
        let running = group.members.iter().filter(|it| !it.stopped);
        rule.backend_refs.extend(running.map(|it| HttpBackendRef {
            object: if to_services { it.service.clone() } else { it.backend.clone() },
            weight: Some(it.weight),
            filters: own.filters.clone(),
        }));
    }
    rule.backend_refs.extend(others);
}

fn backends_of(object: &LLMInferenceService) -> Vec<(bool, String)> {
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let names = Names::new(namespace, object.metadata.name.as_deref().unwrap_or_default());
    let pool = pool_reference(&object.spec).map(|it| (true, it.to_owned()));
    [(true, names.pool()), (false, names.workload_service())].into_iter().chain(pool).collect()
}

fn backend_key(backend: &BackendObjectReference) -> (bool, String) {
    (backend::kind_of(backend) == BackendKind::Pool, backend.name.clone())
}

#[cfg(test)]
mod tests;
