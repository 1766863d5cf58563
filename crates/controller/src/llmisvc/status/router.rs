//! Gateways and routes: whether they carry requests to the service, and which ones they are.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use llmd_api::gateway::{HttpRouteSpec, HttpRouteStatus, ParentReference, RouteParentStatus};
use llmd_api::serving::conditions as types;
use llmd_api::serving::status::{GatewayStatus, Origin, RouterStatus, SchedulerStatus};

use super::conditions::{Conditions, Verdict};
use super::{group, pool};
use crate::children::ChildKind;
use crate::live::LiveDetail;
use crate::llmisvc::facts::routing::parent_gateway;
use crate::llmisvc::render::router::{http, managed_spec};
use crate::llmisvc::render::scheduler;
use crate::llmisvc::service::Service;

/// Group of Gateway and HTTPRoute.
pub const GATEWAY_API: &str = "gateway.networking.k8s.io";

/// A gateway by namespace and name.
pub type GatewayKey = (String, String);

/// A route to the service: the managed one or one that the service names.
#[derive(Debug, Clone)]
pub struct Route<'a> {
    pub name: String,
    /// What the route is meant to be.
    pub spec: Cow<'a, HttpRouteSpec>,
    live: Option<LiveState<'a>>,
}

/// The route as the cluster has it.
#[derive(Debug, Clone, Copy)]
struct LiveState<'a> {
    generation: i64,
    spec: &'a HttpRouteSpec,
    status: &'a [RouteParentStatus],
}

/// Marks the conditions of gateways, routes and pool, as far as the spec has them.
pub fn mark(service: &Service, conditions: &mut Conditions) {
    for it in conditions_of(service) {
        let verdict = match it {
            types::GATEWAYS_READY => gateways_verdict(service),
            types::HTTP_ROUTES_READY => routes_verdict(service),
            _ => pool::verdict(service, &gateways(service)),
        };
        conditions.mark(it, verdict);
    }
}

/// The conditions of gateways, routes and pool that the spec asks for.
#[must_use]
pub fn conditions_of(service: &Service) -> Vec<&'static str> {
    let has_gateways = !references(service).is_empty();
    let has_pool = service.spec.router.as_ref().is_some_and(|it| it.scheduler.is_some());
    [
        has_gateways.then_some(types::GATEWAYS_READY),
        http(service).map(|_| types::HTTP_ROUTES_READY),
        has_pool.then_some(types::INFERENCE_POOL_READY),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The section `status.router`: without a router, none.
#[must_use]
pub fn status(service: &Service) -> Option<RouterStatus> {
    let status = RouterStatus {
        gateways: gateway_statuses(service),
        scheduler: scheduler_status(service),
        group: group::status(service),
    };
    (status != RouterStatus::default()).then_some(status)
}

/// The routes that lead to the service, whether they exist or not.
#[must_use]
pub fn routes(service: &Service) -> Vec<Route<'_>> {
    if let Some(spec) = managed_spec(service) {
        let name = service.names().route();
        let child = service.facts.live.get(ChildKind::HttpRoute, &name);
        let live = child.and_then(|it| match &it.detail {
            LiveDetail::HttpRoute(route) => Some(LiveState {
                generation: it.generation,
                spec: &route.spec,
                status: &route.status.parents,
            }),
            _ => None,
        });
        return vec![Route { name, spec: Cow::Owned(spec), live }];
    }
    let objects = service.facts.routing.routes.iter();
    objects
        .map(|(name, it)| Route {
            name: name.clone(),
            spec: Cow::Borrowed(&it.spec),
            live: Some(LiveState {
                generation: it.metadata.generation.unwrap_or(0),
                spec: &it.spec,
                status: it.status.as_ref().map_or(&[], |it: &HttpRouteStatus| it.parents.as_slice()),
            }),
        })
        .collect()
}

/// Every gateway that is to carry requests: parents of the routes and those that the service names.
#[must_use]
pub fn gateways(service: &Service) -> BTreeSet<GatewayKey> {
    let routes = routes(service);
    let parents = routes.iter().flat_map(|it| &it.spec.parent_refs);
    let parents = parents.filter_map(|it| parent_gateway(it, &service.namespace));
    parents.chain(references(service)).collect()
}

/// The origin entry of a gateway.
#[must_use]
pub fn gateway_origin((namespace, name): &GatewayKey) -> Origin {
    Origin {
        group: GATEWAY_API.to_owned(),
        kind: "Gateway".to_owned(),
        name: name.clone(),
        namespace: Some(namespace.clone()),
    }
}

/// Why the condition does not hold for `generation`.
pub(super) fn describe(type_: &str, condition: Option<&Condition>, generation: i64) -> String {
    match condition {
        None => format!("has not reported {type_}"),
        Some(it) if it.status == "True" => {
            let observed = it.observed_generation.unwrap_or(0);
            format!("{type_}=True for generation {observed}, not yet for {generation}")
        }
        Some(it) if it.message.is_empty() => format!("{type_}={} ({})", it.status, it.reason),
        Some(it) => format!("{type_}={} ({}): {}", it.status, it.reason, it.message),
    }
}

/// Whether the condition is True and not about an older generation. A controller that does not count
/// generations is believed.
pub(super) fn holds(condition: Option<&Condition>, generation: i64) -> bool {
    condition.is_some_and(|it| {
        let observed = it.observed_generation.unwrap_or(0);
        it.status == "True" && (observed == 0 || observed >= generation)
    })
}

/// The condition of this type.
pub(super) fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|it| it.type_ == type_)
}

fn references(service: &Service) -> Vec<GatewayKey> {
    let gateway = service.spec.router.as_ref().and_then(|it| it.gateway.as_ref());
    let refs = gateway.into_iter().flat_map(|it| &it.refs);
    refs.map(|it| (it.namespace_in(&service.namespace).to_owned(), it.name.clone())).collect()
}

fn gateways_verdict(service: &Service) -> Verdict {
    let keys = references(service).into_iter().collect::<BTreeSet<_>>();
    let problems = keys.iter().filter_map(|key| {
        let (namespace, name) = key;
        let Some(facts) = service.facts.routing.gateways.get(key) else {
            return Some(format!("Gateway {namespace}/{name} does not exist"));
        };
        let conditions = facts.gateway.status.as_ref().map_or(&[][..], |it| &it.conditions);
        let programmed = find(conditions, "Programmed");
        let ready = programmed.is_some_and(|it| it.status == "True");
        (!ready).then(|| format!("Gateway {namespace}/{name}: {}", describe("Programmed", programmed, 0)))
    });
    not_ready("GatewaysNotReady", problems)
}

fn routes_verdict(service: &Service) -> Verdict {
    let routes = routes(service);
    let problems = routes.iter().flat_map(|route| {
        let name = format!("HTTPRoute {}/{}", service.namespace, route.name);
        route_problems(service, route).into_iter().map(move |it| format!("{name}: {it}"))
    });
    not_ready("HTTPRoutesNotReady", problems)
}

/// Every parent of the route's spec has accepted it, and every parent that says anything is content.
fn route_problems(service: &Service, route: &Route<'_>) -> Vec<String> {
    let Some(live) = route.live else { return vec!["has not been created yet".to_owned()] };
    if live.spec.parent_refs.is_empty() {
        return vec!["has no parentRefs".to_owned()];
    }
    let reporting = || live.status.iter().filter(|it| find(&it.conditions, "Accepted").is_some());
    let silent =
        live.spec.parent_refs.iter().filter(|parent| {
            !reporting().any(|it| is_same_parent(&it.parent_ref, parent, &service.namespace))
        });
    let silent =
        silent.map(|it| format!("{}: has not reported Accepted", describe_parent(it, &service.namespace)));
    let refusing = reporting().filter_map(|it| {
        let failing = ["Accepted", "ResolvedRefs"].into_iter().find_map(|type_| {
            let condition = find(&it.conditions, type_);
            (!holds(condition, live.generation)).then(|| describe(type_, condition, live.generation))
        })?;
        Some(format!("{}: {failing}", describe_parent(&it.parent_ref, &service.namespace)))
    });
    silent.chain(refusing).collect()
}

fn is_same_parent(a: &ParentReference, b: &ParentReference, namespace: &str) -> bool {
    let kind = |it: &ParentReference| it.kind.clone().unwrap_or_else(|| "Gateway".to_owned());
    (&a.name, a.namespace_in(namespace), kind(a), &a.section_name, a.port)
        == (&b.name, b.namespace_in(namespace), kind(b), &b.section_name, b.port)
}

fn describe_parent(parent: &ParentReference, namespace: &str) -> String {
    let namespace = parent.namespace_in(namespace);
    format!("{} {namespace}/{}", parent.kind.as_deref().unwrap_or("Gateway"), parent.name)
}

fn not_ready(reason: &str, problems: impl Iterator<Item = String>) -> Verdict {
    let problems: Vec<String> = problems.collect();
    if problems.is_empty() { Verdict::True } else { Verdict::no(reason, problems.join("; ")) }
}

fn gateway_statuses(service: &Service) -> Vec<GatewayStatus> {
    let mut found: BTreeMap<GatewayKey, (BTreeSet<String>, BTreeSet<Origin>)> =
        references(service).into_iter().map(|it| (it, Default::default())).collect();
    for route in routes(service) {
        for parent in &route.spec.parent_refs {
            let Some(key) = parent_gateway(parent, &service.namespace) else { continue };
            let (listeners, routes) = found.entry(key).or_default();
            listeners.extend(parent.section_name.clone());
            routes.insert(Origin {
                group: GATEWAY_API.to_owned(),
                kind: "HTTPRoute".to_owned(),
                name: route.name.clone(),
                namespace: Some(service.namespace.clone()),
            });
        }
    }
    found
        .into_iter()
        .map(|(key, (listeners, routes))| GatewayStatus {
            origin: gateway_origin(&key),
            listeners: listeners.into_iter().collect(),
            http_routes: routes.into_iter().collect(),
        })
        .collect()
}

fn scheduler_status(service: &Service) -> Option<SchedulerStatus> {
    service.spec.router.as_ref()?.scheduler.as_ref()?;
    let origin = |group: &str, kind: &str, name: String| Origin {
        group: group.to_owned(),
        kind: kind.to_owned(),
        name,
        namespace: None,
    };
    let pool = ChildKind::InferencePool;
    Some(SchedulerStatus {
        inference_pool: Some(origin(pool.group(), pool.kind(), service.pool_name())),
        service: scheduler::service_name(service).map(|it| origin("", "Service", it)),
    })
}

#[cfg(test)]
mod tests;
