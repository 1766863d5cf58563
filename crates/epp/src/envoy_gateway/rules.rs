//! The rules of HTTPRoutes: what Envoy Gateway tells of them only by the names it gives to clusters and routes.
//!
//! - `httproute/<namespace>/<name>/rule/<index>` is a rule's cluster of all its backends,
//! - followed by `/backend/<index>` one of a single backend, which a rule has when one of its backends is amiss,
//! - followed by `/match/<index>` and more a route.
//!
//! So the backends and their weights are read from the API server, freshly for each configuration: one that is older
//! than Envoy Gateway's would stay wrong until something else changes.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use kube::Client;
use llmd_api::gateway::{HTTPRoute, HttpBackendRef};

use super::lookup::{self, LookupError, N_READS};

/// Namespace and name of a route.
pub(super) type RouteKey = (String, String);

/// The backends of each rule of each route that is there.
pub(super) type Rules = BTreeMap<RouteKey, Vec<Vec<Backend>>>;

/// A backend of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Backend {
    pub group: String,
    pub kind: String,
    pub namespace: String,
    pub name: String,
    pub weight: u32,
}

impl Backend {
    /// With Gateway API's defaults, as a route of the namespace `home` means it.
    fn of_reference(reference: &HttpBackendRef, home: &str) -> Self {
        let object = &reference.object;
        let or = |it: &Option<String>, default: &str| it.clone().unwrap_or_else(|| default.to_owned());
        Self {
            group: or(&object.group, ""),
            kind: or(&object.kind, "Service"),
            namespace: or(&object.namespace, home),
            name: object.name.clone(),
            weight: reference.weight.map_or(1, |it| u32::try_from(it).unwrap_or(0)),
        }
    }
}

/// Where in a route something comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Origin {
    pub route: RouteKey,
    /// Index of the rule.
    pub rule: usize,
    /// Index of the backend, of a cluster that is one backend's alone.
    pub backend: Option<usize>,
}

impl Origin {
    /// Of a cluster or a route by its name; `None` for what comes from elsewhere.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        let mut parts = name.split('/');
        let ("httproute", namespace, route) = (parts.next()?, parts.next()?, parts.next()?) else {
            return None;
        };
        let ("rule", rule) = (parts.next()?, parts.next()?.parse().ok()?) else { return None };
        let backend = match parts.next() {
            Some("backend") => Some(parts.next()?.parse().ok()?),
            _ => None,
        };
        Some(Self { route: (namespace.to_owned(), route.to_owned()), rule, backend })
    }
}

/// The rules of those routes; one that is gone has none.
pub(super) async fn read(
    client: &Client,
    routes: impl Iterator<Item = RouteKey>,
) -> Result<Rules, LookupError> {
    let read = stream::iter(routes).map(|key| async move {
        let route = lookup::get::<HTTPRoute>(client, &key.0, &key.1).await?;
        let rules = route.map(|it| backends(&it, &key.0));
        Ok::<_, LookupError>(rules.map(|it| (key, it)))
    });
    let read: Vec<_> = read.buffer_unordered(N_READS).try_collect().await?;
    Ok(read.into_iter().flatten().collect())
}

fn backends(route: &HTTPRoute, namespace: &str) -> Vec<Vec<Backend>> {
    let backends = |references: &[HttpBackendRef]| {
        references.iter().map(|it| Backend::of_reference(it, namespace)).collect()
    };
    route.spec.rules.iter().map(|it| backends(&it.backend_refs)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_leads_to_its_rule() {
        let origin = |backend| Origin { route: ("team".into(), "chat".into()), rule: 3, backend };
        assert_eq!(Origin::of_name("httproute/team/chat/rule/3"), Some(origin(None)));
        assert_eq!(Origin::of_name("httproute/team/chat/rule/3/backend/1"), Some(origin(Some(1))));
        assert_eq!(Origin::of_name("httproute/team/chat/rule/3/match/0/*"), Some(origin(None)));
        assert_eq!(Origin::of_name("grpcroute/team/chat/rule/3"), None);
        assert_eq!(Origin::of_name("httproute/team"), None);
    }

    #[test]
    fn backends_have_the_defaults_of_gateway_api() {
        let route: HTTPRoute = serde_json::from_value(json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": { "name": "chat" },
            "spec": { "rules": [{ "matches": [] }, { "backendRefs": [
                { "name": "plain", "port": 80 },
                { "group": "g", "kind": "InferencePool", "name": "p", "namespace": "other", "weight": 7 },
            ] }] },
        }))
        .expect("a route");
        let backend = |group: &str, kind: &str, namespace: &str, name: &str, weight| Backend {
            group: group.into(),
            kind: kind.into(),
            namespace: namespace.into(),
            name: name.into(),
            weight,
        };
        let expected =
            vec![backend("", "Service", "team", "plain", 1), backend("g", "InferencePool", "other", "p", 7)];
        assert_eq!(backends(&route, "team"), [vec![], expected]);
    }
}
