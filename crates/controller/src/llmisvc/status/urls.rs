//! The URLs under which a route's requests arrive, from the route and the listeners of its gateways.
//!
//! Gateways are reached from outside by host name or address, and inside the cluster by the Service that their
//! controller made for them.

use std::fmt;
use std::net::Ipv6Addr;

use llmd_api::gateway::{HttpRouteMatch, HttpRouteRule, HttpRouteSpec, Listener, ParentReference};

use crate::llmisvc::facts::routing::{GatewayFacts, GatewayService};
use crate::llmisvc::render::router::backend::{BackendKind, kind_of};
use crate::llmisvc::service::Service;

/// An HTTP URL of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// `http` or `https`.
    pub scheme: &'static str,
    /// A name or an address, without brackets.
    pub host: String,
    pub port: i32,
    /// Starts with `/`.
    pub path: String,
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port, path } = self;
        if host.parse::<Ipv6Addr>().is_ok() {
            write!(f, "{scheme}://[{host}]")?;
        } else {
            write!(f, "{scheme}://{host}")?;
        }
        match (*scheme, port) {
            ("http", 80) | ("https", 443) => f.write_str(path),
            _ => write!(f, ":{port}{path}"),
        }
    }
}

/// The URLs of a route through one of its parents. Empty while the gateway has neither host name nor address.
#[must_use]
pub fn discover(
    service: &Service,
    route: &HttpRouteSpec,
    parent: &ParentReference,
    gateway: &GatewayFacts,
) -> Vec<Url> {
    let paths = paths(route);
    let mut urls = Vec::new();
    for listener in listeners(parent, gateway) {
        let hosts = hosts(service, route, listener, gateway);
        for host in hosts.into_iter().chain(internal_host(service, listener, gateway)) {
            urls.extend(paths.iter().map(|path| Url {
                scheme: scheme(listener),
                host: host.clone(),
                port: listener.port,
                path: path.clone(),
            }));
        }
    }
    urls
}

/// The listener that the parent names, or all. Only those that carry HTTP.
fn listeners<'a>(
    parent: &'a ParentReference,
    gateway: &'a GatewayFacts,
) -> impl Iterator<Item = &'a Listener> {
    let wanted = parent.section_name.as_deref();
    let listeners = gateway.gateway.spec.listeners.iter();
    listeners
        .filter(|it| matches!(it.protocol.as_str(), "HTTP" | "HTTPS" | "TLS"))
        .filter(move |it| wanted.is_none_or(|name| name == it.name))
}

fn scheme(listener: &Listener) -> &'static str {
    if listener.protocol == "HTTP" { "http" } else { "https" }
}

/// The route's host names; without any the listener's, without that the gateway's addresses.
fn hosts(
    service: &Service,
    route: &HttpRouteSpec,
    listener: &Listener,
    gateway: &GatewayFacts,
) -> Vec<String> {
    let concrete = |host: &String| {
        let wildcard = &service.installation.wildcard_hostname;
        host.strip_prefix("*.").map_or_else(|| host.clone(), |domain| format!("{wildcard}.{domain}"))
    };
    let is_given = |it: &&String| !it.is_empty() && *it != "*";
    let own: Vec<String> = route.hostnames.iter().filter(is_given).map(concrete).collect();
    if !own.is_empty() {
        return own;
    }
    if let Some(host) = listener.hostname.as_ref().filter(is_given) {
        return vec![concrete(host)];
    }
    let addresses = gateway.gateway.status.iter().flat_map(|it| &it.addresses);
    addresses.map(|it| it.value.clone()).filter(|it| !it.is_empty()).collect()
}

/// The name inside the cluster of the Service in front of the gateway, if it exposes the listener's port.
fn internal_host(service: &Service, listener: &Listener, gateway: &GatewayFacts) -> Option<String> {
    let metadata = &gateway.gateway.metadata;
    let (namespace, name) = (metadata.namespace.as_deref()?, metadata.name.as_deref()?);
    let it = front_service(name, &gateway.services)?;
    let domain = &service.installation.cluster_domain;
    it.ports.contains(&listener.port).then(|| format!("{}.{namespace}.svc.{domain}", it.name))
}

/// The first Service by name that carries the gateway's label, or the one of the gateway's name.
fn front_service<'a>(gateway: &str, services: &'a [GatewayService]) -> Option<&'a GatewayService> {
    let labelled = services.iter().filter(|it| it.labelled).min_by(|a, b| a.name.cmp(&b.name));
    labelled.or_else(|| services.iter().find(|it| it.name == gateway))
}

/// How a match is reached, each a path worth showing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// By path alone.
    Path,
    /// By a path under `/publishers/`.
    Publisher,
    /// By header.
    Header,
}

/// A path of the route and how requests for it are told apart.
#[derive(Debug, Clone, Copy)]
struct Candidate<'a> {
    reach: Reach,
    path: &'a str,
    /// Rules to the workload Service take every request, rules to the pool only some endpoints.
    to_service: bool,
}

/// The shallowest path of each kind, shallowest first; `/` when the route tells none.
fn paths(route: &HttpRouteSpec) -> Vec<String> {
    let candidates: Vec<Candidate<'_>> = route.rules.iter().flat_map(candidates).collect();
    let found = [Reach::Path, Reach::Publisher, Reach::Header].map(|it| shallowest(&candidates, it));
    let mut paths: Vec<&str> = found.into_iter().flatten().collect();
    paths.sort_by_key(|it| depth(it));
    paths.dedup();
    if paths.is_empty() {
        paths.push("/");
    }
    paths.into_iter().map(str::to_owned).collect()
}

fn candidates(rule: &HttpRouteRule) -> Vec<Candidate<'_>> {
    let to_service = rule.backend_refs.iter().any(|it| kind_of(&it.object) == BackendKind::Service);
    rule.matches
        .iter()
        .filter_map(|it| {
            let path = literal_path(it)?;
            let reach = if !it.headers.is_empty() {
                Reach::Header
            } else if path.starts_with("/publishers/") {
                Reach::Publisher
            } else {
                Reach::Path
            };
            Some(Candidate { reach, path, to_service })
        })
        .collect()
}

/// The path as it stands in the URL; `None` when the match is a pattern.
fn literal_path(it: &HttpRouteMatch) -> Option<&str> {
    let Some(path) = &it.path else { return Some("/") };
    let is_literal = path.type_.as_deref() != Some("RegularExpression");
    is_literal.then(|| path.value.as_deref().filter(|it| it.starts_with('/')).unwrap_or("/"))
}

fn shallowest<'a>(candidates: &[Candidate<'a>], reach: Reach) -> Option<&'a str> {
    let of_kind = || candidates.iter().filter(move |it| it.reach == reach);
    let preferred = of_kind().filter(|it| it.to_service).min_by_key(|it| depth(it.path));
    preferred.or_else(|| of_kind().min_by_key(|it| depth(it.path))).map(|it| it.path)
}

/// Slashes, then length, then the text itself so that the choice never depends on the order of rules.
fn depth(path: &str) -> (usize, usize, &str) {
    (path.matches('/').count(), path.len(), path)
}

#[cfg(test)]
mod tests;
