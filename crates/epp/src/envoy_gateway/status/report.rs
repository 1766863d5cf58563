//! From routes and pools to the statuses that pools should have. Pure, but for the time of a change.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use llmd_api::gateway::{HTTPRoute, ParentReference, RouteParentStatus};
use llmd_api::inference::pool_v1::{InferencePool, PoolParentStatus};

const POOL_GROUP: &str = "inference.networking.k8s.io";
const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";

/// Namespace and name.
type Key = (String, String);

/// What counts of a route.
#[derive(Debug, PartialEq)]
pub(super) struct RouteFacts {
    pools: Vec<Key>,
    gateways: Vec<GatewayFacts>,
    namespace: String,
}

/// What a Gateway says of a route.
#[derive(Debug, PartialEq)]
struct GatewayFacts {
    gateway: Key,
    is_accepted: bool,
    /// Whether every backend is there and may be used.
    is_resolved: bool,
}

/// What counts of a pool.
#[derive(Debug, PartialEq)]
pub(super) struct PoolFacts {
    generation: i64,
    resource_version: Option<String>,
    has_picker: bool,
    parents: Vec<PoolParentStatus>,
}

/// A status to write.
#[derive(Debug, PartialEq)]
pub(super) struct Report {
    pub namespace: String,
    pub name: String,
    /// Of the pool that the status was made from.
    pub resource_version: Option<String>,
    pub parents: Vec<PoolParentStatus>,
}

impl RouteFacts {
    /// Name and facts of a route that has pools, of what the controller `controller_name` says.
    pub(super) fn of(route: HTTPRoute, controller_name: &str) -> (String, Option<Self>) {
        let namespace = route.metadata.namespace.unwrap_or_default();
        let name = route.metadata.name.unwrap_or_default();
        let references = route.spec.rules.iter().flat_map(|it| &it.backend_refs).map(|it| &it.object);
        let pools = references
            .filter(|it| {
                it.group.as_deref() == Some(POOL_GROUP) && it.kind.as_deref() == Some("InferencePool")
            })
            .map(|it| (it.namespace.clone().unwrap_or_else(|| namespace.clone()), it.name.clone()));
        let mut pools: Vec<Key> = pools.collect();
        pools.sort();
        pools.dedup();
        let parents = route.status.map(|it| it.parents).unwrap_or_default();
        let own = parents.iter().filter(|it| it.controller_name == controller_name);
        let gateways = own.filter_map(|it| GatewayFacts::of(it, &namespace)).collect();
        let key = format!("{namespace}/{name}");
        (key, (!pools.is_empty()).then_some(Self { pools, gateways, namespace }))
    }
}

impl GatewayFacts {
    fn of(parent: &RouteParentStatus, home: &str) -> Option<Self> {
        let reference = &parent.parent_ref;
        let is_gateway = reference.group.as_deref().is_none_or(|it| it == GATEWAY_GROUP)
            && reference.kind.as_deref().is_none_or(|it| it == "Gateway");
        let holds = |type_: &str| {
            parent.conditions.iter().find(|it| it.type_ == type_).is_some_and(|it| it.status == "True")
        };
        is_gateway.then(|| Self {
            gateway: (reference.namespace_in(home).to_owned(), reference.name.clone()),
            is_accepted: holds("Accepted"),
            is_resolved: holds("ResolvedRefs"),
        })
    }
}

impl PoolFacts {
    /// Name and facts of a pool.
    pub(super) fn of(pool: InferencePool) -> (String, Option<Self>) {
        let key = format!(
            "{}/{}",
            pool.metadata.namespace.unwrap_or_default(),
            pool.metadata.name.unwrap_or_default()
        );
        let picker = pool.spec.endpoint_picker_ref.as_ref();
        let facts = Self {
            generation: pool.metadata.generation.unwrap_or(0),
            resource_version: pool.metadata.resource_version,
            has_picker: picker.is_some_and(|it| it.kind.as_deref().is_none_or(|it| it == "Service")),
            parents: pool.status.map(|it| it.parents).unwrap_or_default(),
        };
        (key, Some(facts))
    }
}

/// The statuses that differ from what the pools have.
pub(super) fn reports(
    controller_name: &str,
    routes: &BTreeMap<String, RouteFacts>,
    pools: &BTreeMap<String, PoolFacts>,
) -> Vec<Report> {
    let wanted = gateways_of_pools(routes);
    let none = BTreeMap::new();
    let reports = pools.iter().filter_map(|(key, pool)| {
        let (namespace, name) = key.split_once('/')?;
        let gateways = wanted.get(&(namespace.to_owned(), name.to_owned())).unwrap_or(&none);
        let is_own = |it: &&PoolParentStatus| it.controller_name.as_deref() == Some(controller_name);
        let others = pool.parents.iter().filter(|it| !is_own(it)).cloned();
        let own = gateways.iter().map(|(gateway, is_accepted)| {
            let old = pool.parents.iter().filter(is_own).find(|it| it.parent_ref == reference(gateway));
            parent(controller_name, gateway, *is_accepted, pool, old)
        });
        let parents: Vec<PoolParentStatus> = others.chain(own).collect();
        (!same_entries(&parents, &pool.parents)).then(|| Report {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            resource_version: pool.resource_version.clone(),
            parents,
        })
    });
    reports.collect()
}

/// Whether both hold the same in whatever order: a second writer may put its own entries elsewhere, and neither must
/// undo what the other does.
fn same_entries(a: &[PoolParentStatus], b: &[PoolParentStatus]) -> bool {
    a.len() == b.len() && a.iter().all(|it| b.contains(it))
}

/// For each pool the Gateways with routes to it, and whether one of those routes leads there.
fn gateways_of_pools(routes: &BTreeMap<String, RouteFacts>) -> BTreeMap<Key, BTreeMap<Key, bool>> {
    let mut gateways: BTreeMap<Key, BTreeMap<Key, bool>> = BTreeMap::new();
    for route in routes.values() {
        for (pool, said) in
            route.pools.iter().flat_map(|pool| route.gateways.iter().map(move |it| (pool, it)))
        {
            // Another rule's backend may be what is not resolved; a pool of another namespace may be refused for it.
            let leads = said.is_accepted && (said.is_resolved || pool.0 == route.namespace);
            let accepted = gateways.entry(pool.clone()).or_default().entry(said.gateway.clone()).or_default();
            *accepted |= leads;
        }
    }
    gateways
}

fn reference((namespace, name): &Key) -> ParentReference {
    ParentReference {
        group: Some(GATEWAY_GROUP.to_owned()),
        kind: Some("Gateway".to_owned()),
        namespace: Some(namespace.clone()),
        name: name.clone(),
        ..ParentReference::default()
    }
}

/// A Gateway's entry. Conditions that stay as they were keep their time.
fn parent(
    controller_name: &str,
    gateway: &Key,
    is_accepted: bool,
    pool: &PoolFacts,
    old: Option<&PoolParentStatus>,
) -> PoolParentStatus {
    let accepted = match (pool.has_picker, is_accepted) {
        (true, true) => ("True", "Accepted", "requests are sent where the endpoint picker says"),
        (true, false) => ("False", "HTTPRouteNotAccepted", "the Gateway accepts no HTTPRoute to this pool"),
        (false, _) => ("False", "EndpointPickerRefMissing", "spec.endpointPickerRef names no Service"),
    };
    let resolved = if pool.has_picker {
        ("True", "ResolvedRefs", "spec.endpointPickerRef names a Service")
    } else {
        ("False", "InvalidExtensionRef", "spec.endpointPickerRef names no Service")
    };
    let condition = |type_: &str, (status, reason, message): (&str, &str, &str)| {
        let old = old.and_then(|it| it.conditions.iter().find(|it| it.type_ == type_));
        let time = old.filter(|it| it.status == status).map(|it| it.last_transition_time.clone());
        Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            observed_generation: Some(pool.generation),
            last_transition_time: time.unwrap_or_else(|| Time(Timestamp::now())),
        }
    };
    PoolParentStatus {
        conditions: vec![condition("Accepted", accepted), condition("ResolvedRefs", resolved)],
        controller_name: Some(controller_name.to_owned()),
        parent_ref: reference(gateway),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const CONTROLLER: &str = "gateway.envoyproxy.io/gatewayclass-controller";

    fn route(accepted: &str, resolved: &str, pool: &Value) -> (String, Option<RouteFacts>) {
        let said = |controller: &str, gateway: &str| {
            json!({
                "controllerName": controller, "parentRef": { "name": gateway, "namespace": "infra" },
                "conditions": [condition("Accepted", accepted), condition("ResolvedRefs", resolved)],
            })
        };
        let route = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": { "name": "chat", "namespace": "team" },
            "spec": { "rules": [{ "backendRefs": [pool, { "name": "service", "port": 80 }] }] },
            "status": { "parents": [said(CONTROLLER, "front"), said("example.com/other", "back")] },
        });
        RouteFacts::of(serde_json::from_value(route).expect("a route"), CONTROLLER)
    }

    fn condition(type_: &str, status: &str) -> Value {
        json!({ "type": type_, "status": status, "reason": "R", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z" })
    }

    fn pool_reference(namespace: Option<&str>) -> Value {
        json!({ "group": POOL_GROUP, "kind": "InferencePool", "name": "pool", "namespace": namespace })
    }

    fn pool(picker: &Value, parents: &[PoolParentStatus]) -> BTreeMap<String, PoolFacts> {
        let pool = json!({
            "apiVersion": "inference.networking.k8s.io/v1", "kind": "InferencePool",
            "metadata": { "name": "pool", "namespace": "team", "generation": 3, "resourceVersion": "7" },
            "spec": { "selector": { "matchLabels": {} }, "targetPorts": [], "endpointPickerRef": picker },
            "status": { "parents": parents },
        });
        let (key, facts) = PoolFacts::of(serde_json::from_value(pool).expect("a pool"));
        facts.into_iter().map(|it| (key.clone(), it)).collect()
    }

    fn picker() -> Value {
        json!({ "name": "epp", "port": { "number": 9002 } })
    }

    fn all(routes: [(String, Option<RouteFacts>); 1], pools: &BTreeMap<String, PoolFacts>) -> Vec<Report> {
        let routes = routes.into_iter().filter_map(|(key, it)| Some((key, it?))).collect();
        reports(CONTROLLER, &routes, pools)
    }

    /// Gateway, and status and reason of both conditions.
    fn said(report: &Report) -> Vec<String> {
        let entry = |it: &PoolParentStatus| {
            let conditions = it.conditions.iter().map(|it| format!(" {}={}", it.status, it.reason));
            format!("{}{}", it.parent_ref.name, conditions.collect::<String>())
        };
        report.parents.iter().map(entry).collect()
    }

    #[test]
    fn a_pool_is_accepted_by_the_gateways_of_its_routes() {
        let reports = all([route("True", "True", &pool_reference(None))], &pool(&picker(), &[]));
        assert_eq!(said(&reports[0]), ["front True=Accepted True=ResolvedRefs"]);
        assert_eq!(reports[0].resource_version.as_deref(), Some("7"));

        // What is written is what is wanted: nothing is written twice.
        let again =
            all([route("True", "True", &pool_reference(None))], &pool(&picker(), &reports[0].parents));
        assert_eq!(again, []);
    }

    #[test]
    fn what_keeps_a_pool_from_requests_is_said() {
        let refused = all([route("False", "True", &pool_reference(None))], &pool(&picker(), &[]));
        assert_eq!(said(&refused[0]), ["front False=HTTPRouteNotAccepted True=ResolvedRefs"]);
        let elsewhere = all([route("True", "False", &pool_reference(Some("other")))], &pool(&picker(), &[]));
        assert_eq!(elsewhere, [], "no route leads to this pool");
        let without = all([route("True", "True", &pool_reference(None))], &pool(&Value::Null, &[]));
        assert_eq!(said(&without[0]), ["front False=EndpointPickerRefMissing False=InvalidExtensionRef"]);
    }

    #[test]
    fn entries_of_others_stay_and_own_ones_go_with_their_route() {
        let foreign = PoolParentStatus {
            controller_name: Some("example.com/other".into()),
            ..PoolParentStatus::default()
        };
        let first = all(
            [route("True", "True", &pool_reference(None))],
            &pool(&picker(), std::slice::from_ref(&foreign)),
        );
        assert_eq!(first[0].parents.len(), 2);
        // A second writer's order is as good.
        let turned: Vec<_> = first[0].parents.iter().rev().cloned().collect();
        assert_eq!(all([route("True", "True", &pool_reference(None))], &pool(&picker(), &turned)), []);

        let gone = reports(CONTROLLER, &BTreeMap::new(), &pool(&picker(), &first[0].parents));
        assert_eq!(gone[0].parents, [foreign]);
    }

    #[test]
    fn conditions_that_stay_keep_their_time() {
        let route = || route("True", "True", &pool_reference(None));
        let mut first = all([route()], &pool(&picker(), &[]))[0].parents.clone();
        let then = Time("2026-01-01T00:00:00Z".parse().expect("a time"));
        first[0].conditions[0].last_transition_time = then.clone();
        first[0].conditions[0].observed_generation = Some(1);
        let second = all([route()], &pool(&picker(), &first));
        assert_eq!(second[0].parents[0].conditions[0].last_transition_time, then);
    }
}
