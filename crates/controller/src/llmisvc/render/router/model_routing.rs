//! Routing by a header that names the model: whether the route keeps such rules, and one match for each adapter.
//!
//! Something in front of the gateway must write the header; this only decides what the route does with it.

use llmd_api::gateway::{HttpRouteMatch, HttpRouteRule, HttpRouteSpec};
use llmd_api::meta;

use super::models;
use crate::llmisvc::facts::routing::parent_gateway;
use crate::llmisvc::service::Service;

/// Most matches that Gateway API allows in one rule.
pub const MAX_MATCHES_PER_RULE: usize = 64;

/// Removes or multiplies the matches by model header.
pub fn apply(service: &Service, spec: &mut HttpRouteSpec) {
    let header = &service.settings.ingress.model_based_routing_header_name;
    if is_enabled(service, spec) {
        spec.rules.iter_mut().for_each(|rule| match_adapters(service, rule, header));
        spec.rules = std::mem::take(&mut spec.rules).into_iter().flat_map(split).collect();
    } else {
        spec.rules.retain_mut(|rule| drop_header_matches(rule, header));
    }
}

/// Whether requests are routed by the model header: the cluster has one, the service wants it, and no gateway of
/// the route refuses.
fn is_enabled(service: &Service, spec: &HttpRouteSpec) -> bool {
    let ingress = &service.settings.ingress;
    let wanted = service.spec.workload.annotations.get(meta::MODEL_BASED_ROUTING);
    if ingress.model_based_routing_header_name.is_empty() || wanted.is_none_or(|it| it != "true") {
        return false;
    }
    match ingress.model_based_routing_mode.as_str() {
        "disabled" => false,
        "forced" => true,
        _ => !is_refused_by_a_gateway(service, spec),
    }
}

fn is_refused_by_a_gateway(service: &Service, spec: &HttpRouteSpec) -> bool {
    let parents = spec.parent_refs.iter().filter_map(|it| parent_gateway(it, &service.namespace));
    let mut gateways = parents.filter_map(|key| service.facts.routing.gateways.get(&key));
    gateways.any(|it| {
        let annotations = it.gateway.metadata.annotations.as_ref();
        annotations.and_then(|it| it.get(meta::MODEL_BASED_ROUTING)).is_some_and(|it| it == "false")
    })
}

/// Removes the matches by `header`; false when the rule has none left.
fn drop_header_matches(rule: &mut HttpRouteRule, header: &str) -> bool {
    let matches_everything = rule.matches.is_empty();
    rule.matches.retain(|it| !is_by_header(it, header));
    matches_everything || !rule.matches.is_empty()
}

fn is_by_header(it: &HttpRouteMatch, header: &str) -> bool {
    it.headers.iter().any(|it| it.name.eq_ignore_ascii_case(header))
}

/// Repeats the matches by `header` for every adapter.
fn match_adapters(service: &Service, rule: &mut HttpRouteRule, header: &str) {
    let templates: Vec<HttpRouteMatch> =
        rule.matches.iter().filter(|it| is_by_header(it, header)).cloned().collect();
    for adapter in models::adapters(service.spec.model.as_ref()) {
        let value = models::qualified(&service.namespace, adapter);
        for mut it in templates.iter().cloned() {
            let headers = it.headers.iter_mut().filter(|it| it.name.eq_ignore_ascii_case(header));
            headers.for_each(|it| it.value.clone_from(&value));
            if !rule.matches.contains(&it) {
                rule.matches.push(it);
            }
        }
    }
}

/// Divides a rule with too many matches into several that do the same. Names stay unique: `name`, `name-2`, …
fn split(rule: HttpRouteRule) -> Vec<HttpRouteRule> {
    if rule.matches.len() <= MAX_MATCHES_PER_RULE {
        return vec![rule];
    }
    let numbered = |part: usize| {
        rule.name.as_ref().map(|it| if part == 0 { it.clone() } else { format!("{it}-{}", part + 1) })
    };
    rule.matches
        .chunks(MAX_MATCHES_PER_RULE)
        .enumerate()
        .map(|(part, matches)| HttpRouteRule {
            name: numbered(part),
            matches: matches.to_vec(),
            ..rule.clone()
        })
        .collect()
}
