//! Route, gateways and routing group.

use std::collections::BTreeSet;

use llmd_api::serving::v1alpha2::{GatewaySpec, HttpRouteChoice, RouteSpec, RouterSpec};
use serde_json::json;

use super::{FieldError, Verdict, is_dns_label};

const HTTP: &str = "spec.router.route.http";
/// Where gateways are named a second time.
pub(super) const PARENTS: &str = "spec.router.route.http.spec";
pub(super) const SAME_GATEWAYS: &str =
    "spec.router.route.http.spec.parentRefs says the same as spec.router.gateway.refs and can be omitted";
const GROUP: &str = "spec.router.route.group";
const WEIGHT: &str = "spec.router.route.weight";
/// Largest weight of a backend (Gateway API, `BackendRef.weight`).
const MAX_WEIGHT: i32 = 1_000_000;

pub(super) fn check(router: &RouterSpec, namespace: &str, verdict: &mut Verdict) {
    let Some(route) = &router.route else { return };
    if let Some(http) = &route.http {
        check_http(http, router.gateway.as_ref(), namespace, verdict);
    }
    check_group(route, router, verdict);
}

fn check_http(http: &HttpRouteChoice, gateway: Option<&GatewaySpec>, namespace: &str, verdict: &mut Verdict) {
    let refs = || json!(http.refs.iter().map(|it| &it.name).collect::<Vec<_>>());
    if !http.refs.is_empty() && http.spec.is_some() {
        verdict.error(FieldError::invalid(
            HTTP,
            json!({"refs": refs()}),
            "refs names HTTPRoutes of your own and spec describes the managed one: keep one of the two",
        ));
    }
    if !http.refs.is_empty() && gateway.is_some_and(|it| it.refs.is_empty()) {
        verdict.error(FieldError::invalid(
            format!("{HTTP}.refs"),
            refs(),
            "an HTTPRoute of your own names its gateways itself: remove spec.router.gateway, or give it refs",
        ));
    }
    check_parents(http, gateway, namespace, verdict);
}

/// A gateway's namespace, name and listener.
type Parent<'a> = (&'a str, &'a str, Option<&'a str>);

/// Gateways can be named in two places; they must be the same ones.
fn check_parents(
    http: &HttpRouteChoice,
    gateway: Option<&GatewaySpec>,
    namespace: &str,
    verdict: &mut Verdict,
) {
    let (Some(spec), Some(gateway)) = (&http.spec, gateway) else { return };
    if spec.parent_refs.is_empty() || gateway.refs.is_empty() {
        return;
    }
    fn given(section: Option<&String>) -> Option<&str> {
        section.map(String::as_str).filter(|it| !it.is_empty())
    }
    let of_route: BTreeSet<Parent<'_>> = spec
        .parent_refs
        .iter()
        .map(|it| (it.namespace_in(namespace), it.name.as_str(), given(it.section_name.as_ref())))
        .collect();
    let of_gateway: BTreeSet<Parent<'_>> = gateway
        .refs
        .iter()
        .map(|it| (it.namespace_in(namespace), it.name.as_str(), given(it.section_name.as_ref())))
        .collect();
    if of_route == of_gateway {
        verdict.warn(SAME_GATEWAYS);
    } else {
        verdict.error(FieldError::invalid(
            PARENTS,
            json!({"parentRefs": spec.parent_refs}),
            "parentRefs and spec.router.gateway.refs name different gateways: keep one of the two",
        ));
    }
}

fn check_group(route: &RouteSpec, router: &RouterSpec, verdict: &mut Verdict) {
    let RouteSpec { http, group, weight } = route;
    let group = group.as_deref().filter(|it| !it.is_empty());
    match (group, weight) {
        (None, Some(_)) => verdict.error(FieldError::required(
            GROUP,
            "a weight is a share of a routing group: name the group, or remove weight",
        )),
        (Some(_), None) => verdict.error(FieldError::required(
            WEIGHT,
            "a member of a routing group needs its share of the requests: set weight",
        )),
        _ => {}
    }
    let conflict = if router.ingress.is_some() {
        Some("routing groups need a managed HTTPRoute: remove spec.router.ingress")
    } else if http.as_ref().is_some_and(|it| !it.refs.is_empty()) {
        Some("routing groups need a managed HTTPRoute: remove spec.router.route.http.refs")
    } else {
        None
    };
    if let Some(conflict) = conflict {
        if let Some(group) = group {
            verdict.error(FieldError::invalid(GROUP, json!(group), conflict));
        }
        if let Some(weight) = weight {
            verdict.error(FieldError::invalid(WEIGHT, weight, conflict));
        }
    }
    if let Some(group) = group.filter(|it| !is_dns_label(it)) {
        verdict.error(FieldError::invalid(
            GROUP,
            json!(group),
            "use 1 to 63 lower-case letters, digits and dashes, with a letter or digit at both ends",
        ));
    }
    if let Some(weight) = weight.filter(|it| !(0..=MAX_WEIGHT).contains(it)) {
        verdict.error(FieldError::invalid(WEIGHT, weight, format!("set it between 0 and {MAX_WEIGHT}")));
    }
}
