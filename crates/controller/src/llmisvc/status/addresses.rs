//! The addresses under which the service answers, and which of them is the primary one.

use std::net::IpAddr;

use llmd_api::serving::status::{Address, ModelName, Origin};

use super::router::{self, gateway_origin};
use super::urls::{self, Url};
use crate::llmisvc::facts::routing::parent_gateway;
use crate::llmisvc::render::router::models;
use crate::llmisvc::render::workload::workload_service;
use crate::llmisvc::service::Service;

/// A URL and the gateway it belongs to.
#[derive(Debug, Clone)]
struct Found {
    url: Url,
    origin: Origin,
}

/// The primary URL and all addresses, sorted by URL. A service without a route has the address of its workload
/// Service and no primary URL.
#[must_use]
pub fn addresses(service: &Service) -> (Option<String>, Vec<Address>) {
    let routes = router::routes(service);
    if routes.is_empty() {
        return (None, vec![workload_address(service)]);
    }
    let mut found: Vec<Found> = routes.iter().flat_map(|it| through_gateways(service, it)).collect();
    found.sort_by_cached_key(|it| it.url.to_string());
    found.dedup_by(|a, b| a.url == b.url);
    (primary(service, &found), found.iter().map(|it| address(service, it)).collect())
}

fn through_gateways(service: &Service, route: &router::Route<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    for parent in &route.spec.parent_refs {
        let Some(key) = parent_gateway(parent, &service.namespace) else { continue };
        let gateway = service.facts.routing.gateways.get(&key).filter(|it| it.class.is_some());
        let urls = gateway.map(|it| urls::discover(service, &route.spec, parent, it)).unwrap_or_default();
        found.extend(urls.into_iter().map(|url| Found { url, origin: gateway_origin(&key) }));
    }
    found
}

/// With its port, unlike KServe's, which nobody can reach: the Service has this one alone.
fn workload_address(service: &Service) -> Address {
    let host = format!(
        "{}.{}.svc.{}",
        service.names().workload_service(),
        service.namespace,
        service.installation.cluster_domain
    );
    let url = format!("{}://{host}:{}", service.settings.workload_scheme(), workload_service::PORT);
    Address { url: Some(url), ..Address::default() }
}

/// From outside if there is any such URL; under the service's own path if there is one; with the preferred scheme
/// if it is internal.
fn primary(service: &Service, found: &[Found]) -> Option<String> {
    let domain = &service.installation.cluster_domain;
    let external: Vec<&Found> = found.iter().filter(|it| !is_internal(&it.url.host, domain)).collect();
    let is_internal_only = external.is_empty();
    let candidates = if is_internal_only { found.iter().collect() } else { external };
    let own: Vec<&Found> =
        candidates.iter().copied().filter(|it| is_own_path(service, &it.url.path)).collect();
    let preferred =
        own.iter().find(|it| is_internal_only && it.url.scheme == service.settings.ingress.url_scheme);
    let chosen = preferred.or_else(|| own.first()).or_else(|| candidates.first());
    chosen.map(|it| it.url.to_string())
}

fn is_own_path(service: &Service, path: &str) -> bool {
    let own = format!("/{}/{}", service.namespace, service.name);
    path.strip_prefix(&own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn address(service: &Service, found: &Found) -> Address {
    let domain = &service.installation.cluster_domain;
    let place = if is_cluster_local(&found.url.host, domain) {
        "gateway-internal"
    } else if is_internal(&found.url.host, domain) {
        "internal"
    } else {
        "gateway-external"
    };
    // Under `/` only the model header tells services apart.
    let by_header = found.url.path == "/";
    Address {
        name: Some(format!("{place}{}", if by_header { "-model-routing" } else { "" })),
        url: Some(found.url.to_string()),
        origin: Some(found.origin.clone()),
        models: model_names(service, by_header),
        ..Address::default()
    }
}

/// The names to ask for: the base model first, then the adapters, each qualified and, where the path already
/// leads to the service, plain as well.
fn model_names(service: &Service, qualified_only: bool) -> Vec<ModelName> {
    let base = service.model_name();
    let adapters = models::adapters(service.spec.model.as_ref()).into_iter().filter(|it| *it != base);
    [base]
        .into_iter()
        .chain(adapters)
        .flat_map(|it| {
            let plain = (!qualified_only).then(|| it.to_owned());
            [Some(models::qualified(&service.namespace, it)), plain]
        })
        .flatten()
        .map(|name| ModelName { name })
        .collect()
}

fn is_cluster_local(host: &str, domain: &str) -> bool {
    has_suffix(host, domain)
}

/// Whether the host means something only inside a network: a private address, or a name that public DNS lacks.
fn is_internal(host: &str, domain: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(it)) => it.is_private() || it.is_loopback(),
        Ok(IpAddr::V6(it)) => it.is_unique_local() || it.is_loopback(),
        Err(_) => {
            host.eq_ignore_ascii_case("localhost")
                || [domain, "local", "localhost", "internal"].iter().any(|it| has_suffix(host, it))
        }
    }
}

fn has_suffix(host: &str, domain: &str) -> bool {
    let host = host.to_ascii_lowercase();
    host.strip_suffix(&domain.to_ascii_lowercase()).is_some_and(|it| it.ends_with('.'))
}

#[cfg(test)]
mod tests;
