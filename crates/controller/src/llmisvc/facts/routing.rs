//! Gateways, routes, pools and neighbours: what requests pass on their way to the service.
//!
//! Everything comes from the caches behind [`RoutingSource`], so gathering never waits. Not here: judging what is
//! found, which is up to the router's checks and to status.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use llmd_api::gateway::{Gateway, GatewayClass, HTTPRoute, ParentReference};
use llmd_api::inference::{pool_v1, pool_v1alpha2};
use llmd_api::serving::v1alpha2::{LLMInferenceService, LLMInferenceServiceSpec};

use crate::llmisvc::render::router::{group, models};
use crate::names::Names;

/// Label (Gateway API): the gateway that a generated Service belongs to.
pub const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

/// Rivals of one model that are looked up: enough to name some and to know that there are more.
pub const MAX_RIVALS: usize = 4;

/// Where routing objects are looked up: the caches of the process, or a list in tests.
pub trait RoutingSource {
    /// The Gateway of this namespace and name.
    fn gateway(&self, namespace: &str, name: &str) -> Option<Arc<Gateway>>;
    /// The GatewayClass of this name.
    fn gateway_class(&self, name: &str) -> Option<Arc<GatewayClass>>;
    /// Services of `namespace` that carry the label [`GATEWAY_NAME`] with the gateway's name, and the one that is
    /// named like the gateway.
    fn gateway_services(&self, namespace: &str, gateway: &str) -> Vec<GatewayService>;
    /// The HTTPRoute of this namespace and name.
    fn route(&self, namespace: &str, name: &str) -> Option<Arc<HTTPRoute>>;
    /// The pool of this namespace and name in `inference.networking.k8s.io/v1`.
    fn pool_v1(&self, namespace: &str, name: &str) -> Option<Arc<pool_v1::InferencePool>>;
    /// The pool of this namespace and name in `inference.networking.x-k8s.io/v1alpha2`.
    fn pool_v1alpha2(&self, namespace: &str, name: &str) -> Option<Arc<pool_v1alpha2::InferencePool>>;
    /// Every service of the namespace.
    fn services(&self, namespace: &str) -> Vec<Arc<LLMInferenceService>>;
    /// The services that concern the one asking: every member of its group, and of each model the first
    /// [`MAX_RIVALS`] rivals by name.
    fn neighbours(&self, interest: &Interest<'_>) -> Vec<Arc<LLMInferenceService>> {
        interest.select(self.services(interest.namespace))
    }
}

/// What makes other services concern one.
#[derive(Debug, Clone)]
pub struct Interest<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
    pub group: Option<&'a str>,
    /// Plain names of the models it answers for.
    pub models: BTreeSet<String>,
}

impl Interest<'_> {
    /// Whether a service that answers for the same model gets in the way. Members of one group share it on purpose.
    #[must_use]
    pub fn is_rival(&self, name: &str, group: Option<&str>) -> bool {
        name != self.name && (self.group.is_none() || group != self.group)
    }

    /// The services of the namespace that concern this one; they are sorted by name. A service that goes is no rival.
    #[must_use]
    pub fn select(&self, services: Vec<Arc<LLMInferenceService>>) -> Vec<Arc<LLMInferenceService>> {
        let mut rivals: BTreeMap<&str, usize> = self.models.iter().map(|it| (it.as_str(), 0)).collect();
        let mut concerns = |it: &LLMInferenceService| {
            let name = it.metadata.name.as_deref().unwrap_or_default();
            let group = group::group_of(it);
            let is_member = name != self.name && self.group.is_some() && group == self.group;
            if is_member || !self.is_rival(name, group) || it.metadata.deletion_timestamp.is_some() {
                return is_member;
            }
            let mut is_wanted = false;
            for model in models::advertised(it) {
                if let Some(count) = rivals.get_mut(model.as_str()).filter(|it| **it < MAX_RIVALS) {
                    *count += 1;
                    is_wanted = true;
                }
            }
            is_wanted
        };
        services.into_iter().filter(|it| concerns(it)).collect()
    }
}

/// The Service through which a gateway is reached inside the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GatewayService {
    pub name: String,
    /// Whether the label [`GATEWAY_NAME`] names the gateway.
    pub labelled: bool,
    /// Port numbers that the Service exposes.
    pub ports: BTreeSet<i32>,
}

/// Objects that requests pass on their way to the service.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RoutingFacts {
    /// The gateways that exist of those that the service or its routes name, by namespace and name.
    pub gateways: BTreeMap<(String, String), GatewayFacts>,
    /// The routes that exist of those in `router.route.http.refs`, by name.
    pub routes: BTreeMap<String, Arc<HTTPRoute>>,
    /// The pool that `router.scheduler.pool.ref` names, in both API groups.
    pub pool_v1: Option<Arc<pool_v1::InferencePool>>,
    pub pool_v1alpha2: Option<Arc<pool_v1alpha2::InferencePool>>,
    /// The other services of the namespace that concern this one, by name.
    pub peers: BTreeMap<String, Peer>,
}

/// A gateway and what surrounds it.
#[derive(Debug, Clone, PartialEq)]
pub struct GatewayFacts {
    pub gateway: Arc<Gateway>,
    pub class: Option<Arc<GatewayClass>>,
    /// Sorted by name.
    pub services: Vec<GatewayService>,
}

/// Another service of the namespace.
#[derive(Debug, Clone, PartialEq)]
pub struct Peer {
    pub object: Arc<LLMInferenceService>,
    /// Its managed route.
    pub route: Option<Arc<HTTPRoute>>,
}

/// Gathers what the service `namespace`/`name` with the effective `spec` depends on.
#[must_use]
pub fn gather(
    namespace: &str,
    name: &str,
    spec: &LLMInferenceServiceSpec,
    source: &dyn RoutingSource,
) -> RoutingFacts {
    let routes = referenced_routes(namespace, spec, source);
    let gateways = gateway_keys(namespace, spec, source)
        .into_iter()
        .filter_map(|key| Some((key.clone(), gateway_facts(&key, source)?)))
        .collect();
    let pool = pool_reference(spec);
    RoutingFacts {
        gateways,
        pool_v1: pool.and_then(|it| source.pool_v1(namespace, it)),
        pool_v1alpha2: pool.and_then(|it| source.pool_v1alpha2(namespace, it)),
        peers: peers(namespace, source.neighbours(&interest(namespace, name, spec)), source),
        routes,
    }
}

/// The name of the user's own pool, when the service uses one.
#[must_use]
pub fn pool_reference(spec: &LLMInferenceServiceSpec) -> Option<&str> {
    let scheduler = spec.router.as_ref()?.scheduler.as_ref()?;
    Some(scheduler.pool.as_ref()?.reference.as_ref()?.name.as_str())
}

/// Namespace and name of the gateway that a route in `namespace` names as its parent; `None` for parents of
/// other kinds.
#[must_use]
pub fn parent_gateway(parent: &ParentReference, namespace: &str) -> Option<(String, String)> {
    let is_gateway = parent.kind.as_deref().is_none_or(|it| it == "Gateway")
        && parent.group.as_deref().is_none_or(|it| it == "gateway.networking.k8s.io");
    is_gateway.then(|| (parent.namespace_in(namespace).to_owned(), parent.name.clone()))
}

fn referenced_routes(
    namespace: &str,
    spec: &LLMInferenceServiceSpec,
    source: &dyn RoutingSource,
) -> BTreeMap<String, Arc<HTTPRoute>> {
    let http = spec.router.iter().filter_map(|it| it.route.as_ref()?.http.as_ref());
    http.flat_map(|it| &it.refs)
        .filter_map(|it| Some((it.name.clone(), source.route(namespace, &it.name)?)))
        .collect()
}

/// Every gateway that the service names: in its references, as a parent of the managed route, as a parent of a
/// referenced route.
pub fn gateway_keys(
    namespace: &str,
    spec: &LLMInferenceServiceSpec,
    source: &dyn RoutingSource,
) -> BTreeSet<(String, String)> {
    let Some(router) = &spec.router else { return BTreeSet::new() };
    let routes = referenced_routes(namespace, spec, source);
    let references = router
        .gateway
        .iter()
        .flat_map(|it| &it.refs)
        .map(|it| (it.namespace_in(namespace).to_owned(), it.name.clone()));
    let managed = router.route.iter().filter_map(|it| it.http.as_ref()?.spec.as_ref());
    let parents = managed.chain(routes.values().map(|it| &it.spec)).flat_map(|it| &it.parent_refs);
    references.chain(parents.filter_map(|it| parent_gateway(it, namespace))).collect()
}

fn gateway_facts((namespace, name): &(String, String), source: &dyn RoutingSource) -> Option<GatewayFacts> {
    let gateway = source.gateway(namespace, name)?;
    let class = source.gateway_class(&gateway.spec.gateway_class_name);
    let mut services = source.gateway_services(namespace, name);
    services.sort_by(|a, b| a.name.cmp(&b.name));
    Some(GatewayFacts { gateway, class, services })
}

fn interest<'a>(namespace: &'a str, name: &'a str, spec: &'a LLMInferenceServiceSpec) -> Interest<'a> {
    let route = spec.router.as_ref().and_then(|it| it.route.as_ref());
    Interest {
        namespace,
        name,
        group: route.and_then(|it| it.group.as_deref()),
        models: models::named_in(name, spec.model.as_ref()),
    }
}

/// Each of `services` with its managed route, by name.
pub fn peers(
    namespace: &str,
    services: Vec<Arc<LLMInferenceService>>,
    source: &dyn RoutingSource,
) -> BTreeMap<String, Peer> {
    services
        .into_iter()
        .filter_map(|object| {
            let peer = object.metadata.name.clone()?;
            let route = source.route(namespace, &Names::new(namespace, &peer).route());
            Some((peer, Peer { object, route }))
        })
        .collect()
}
