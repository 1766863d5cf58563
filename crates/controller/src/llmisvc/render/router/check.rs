//! What keeps requests from reaching the service before anything is applied: references to objects that do not
//! exist, and a managed route that Gateway API would refuse.

use llmd_api::gateway::{HTTPRoute, HttpRouteSpec};
use llmd_api::serving::conditions as types;

use super::model_routing::MAX_MATCHES_PER_RULE;
use super::{http, managed_spec, models, route};
use crate::children::ChildKind;
use crate::llmisvc::facts::routing::parent_gateway;
use crate::llmisvc::section::SectionError;
use crate::llmisvc::service::Service;

/// Reason of references to objects that do not exist.
const REFS_INVALID: &str = "RefsInvalid";
/// Reason of a managed route that cannot be made.
const RECONCILE_ERROR: &str = "HTTPRouteReconcileError";
/// Gateway API's limits of one route; those of a rule are enforced by splitting it.
const MAX_RULES: usize = 16;
const MAX_MATCHES: usize = 128;
const MAX_BACKENDS_PER_RULE: usize = 16;

/// Everything that is wrong with the section `router`, except its scheduler.
#[must_use]
pub fn check(service: &Service) -> Vec<SectionError> {
    if service.is_stopped() {
        return Vec::new();
    }
    let references = [gateway_references(service), route_references(service)];
    let managed = [managed_route(service), route_parents(service)];
    references.into_iter().chain(managed).flatten().collect()
}

/// `router.gateway.refs` name gateways that exist.
fn gateway_references(service: &Service) -> Option<SectionError> {
    let gateway = service.spec.router.as_ref()?.gateway.as_ref()?;
    let keys =
        gateway.refs.iter().map(|it| (it.namespace_in(&service.namespace).to_owned(), it.name.clone()));
    let missing = keys.filter(|it| !service.facts.routing.gateways.contains_key(it));
    let missing = missing.map(|(namespace, name)| format!("Gateway {namespace}/{name} does not exist"));
    invalid(types::GATEWAYS_READY, "", missing)
}

/// `router.route.http.refs` name routes that exist.
fn route_references(service: &Service) -> Option<SectionError> {
    let missing =
        http(service)?.refs.iter().filter(|it| !service.facts.routing.routes.contains_key(&it.name));
    let missing = missing.map(|it| format!("HTTPRoute {}/{} does not exist", service.namespace, it.name));
    invalid(types::HTTP_ROUTES_READY, "", missing)
}

/// Every referenced route has parents, and those that are gateways exist.
fn route_parents(service: &Service) -> Option<SectionError> {
    let routes = service.facts.routing.routes.iter();
    let lacks = routes.flat_map(|(name, it)| lacking_parents(service, name, it));
    invalid(types::HTTP_ROUTES_READY, "HTTPRoute target validation failed: ", lacks)
}

fn lacking_parents(service: &Service, name: &str, object: &HTTPRoute) -> Vec<String> {
    let route = format!("HTTPRoute {}/{name}", service.namespace);
    if object.spec.parent_refs.is_empty() {
        return vec![format!("{route} has no parentRefs")];
    }
    let missing = missing_gateways(service, &object.spec);
    missing
        .map(|(namespace, gateway)| format!("{route} references non-existent Gateway {namespace}/{gateway}"))
        .collect()
}

fn missing_gateways(service: &Service, spec: &HttpRouteSpec) -> impl Iterator<Item = (String, String)> {
    let keys = spec.parent_refs.iter().filter_map(|it| parent_gateway(it, &service.namespace));
    keys.filter(|it| !service.facts.routing.gateways.contains_key(it))
}

/// The managed route can be made: there is a spec for it, its gateways exist, it keeps within the limits.
fn managed_route(service: &Service) -> Option<SectionError> {
    route(service)?;
    let failure =
        |message: String| Some(SectionError::new(types::HTTP_ROUTES_READY, RECONCILE_ERROR, message));
    if http(service).is_some_and(|it| !it.refs.is_empty()) {
        return None;
    }
    let Some(spec) = managed_spec(service) else {
        return failure("spec.router.route asks for a managed HTTPRoute and no config gives spec.router.route.http.spec: install the preset config-llm-router-route or write the spec".to_owned());
    };
    if !service.facts.apis.serve(ChildKind::HttpRoute) {
        return failure("the cluster does not serve HTTPRoute of gateway.networking.k8s.io/v1: install the CRDs of Gateway API or remove spec.router.route".to_owned());
    }
    let missing = missing_gateways(service, &spec);
    let missing = missing.map(|(namespace, name)| {
        format!("Managed HTTPRoute references non-existent Gateway {namespace}/{name}")
    });
    invalid(types::HTTP_ROUTES_READY, "", missing).or_else(|| failure(beyond_limits(service, &spec)?))
}

/// Which of Gateway API's limits the managed route exceeds.
fn beyond_limits(service: &Service, spec: &HttpRouteSpec) -> Option<String> {
    let matches: usize = spec.rules.iter().map(|it| it.matches.len()).sum();
    let backends = spec.rules.iter().map(|it| it.backend_refs.len()).max().unwrap_or(0);
    let adapters = models::adapters(service.spec.model.as_ref()).len();
    if matches > MAX_MATCHES || spec.rules.len() > MAX_RULES {
        return Some(format!(
            "the managed HTTPRoute needs {} rules and {matches} matches for {adapters} LoRA adapters, and Gateway API allows {MAX_RULES} rules of {MAX_MATCHES_PER_RULE} matches and {MAX_MATCHES} matches in all: serve fewer adapters in spec.model.lora.adapters, set spec.annotations[serving.kserve.io/model-based-routing-enabled] to \"false\", or write spec.router.route.http.spec with fewer matches",
            spec.rules.len(),
        ));
    }
    (backends > MAX_BACKENDS_PER_RULE).then(|| {
        format!("the routing group has {backends} running members, and Gateway API allows {MAX_BACKENDS_PER_RULE} backends in a rule: stop members or divide the group")
    })
}

/// The failure that lists `problems`, or none when there are none.
fn invalid(
    condition: &'static str,
    introduction: &str,
    problems: impl Iterator<Item = String>,
) -> Option<SectionError> {
    let problems: Vec<String> = problems.collect();
    (!problems.is_empty())
        .then(|| SectionError::new(condition, REFS_INVALID, format!("{introduction}{}", problems.join("; "))))
}

#[cfg(test)]
mod tests;
