//! The rules of HTTPRoutes: what Envoy Gateway tells of them only by the names it gives to clusters and routes.
//!
//! - `httproute/<namespace>/<name>/rule/<index>` is a rule's cluster of all its backends,
//! - followed by `/backend/<index>` one of a single backend, which a rule has when one of its backends is amiss,
//! - followed by `/match/<index>` and more a route.
//!
//! So the backends and their weights are read from the API server, freshly for each configuration: one that is older
//! than Envoy Gateway's would stay wrong until something else changes.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use kube::Client;
use kube::api::Api;
use llmd_api::gateway::{HTTPRoute, HttpBackendRef};

/// How long the API server may take for a route.
const DEADLINE: Duration = Duration::from_secs(2);
/// Routes that are read at a time.
const N_READS: usize = 16;

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

/// Why rules are not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum RuleError {
    /// The API server did not give the route.
    #[error("cannot read HTTPRoute {namespace}/{name}")]
    Read {
        namespace: String,
        name: String,
        #[source]
        source: Box<kube::Error>,
    },
    /// It did not answer.
    #[error("the API server does not answer within {DEADLINE:?}")]
    Deadline,
}

/// The rules of those routes; one that is gone has none.
pub(super) async fn read(
    client: &Client,
    routes: impl Iterator<Item = RouteKey>,
) -> Result<Rules, RuleError> {
    let read = stream::iter(routes).map(|key| async move {
        let route = tokio::time::timeout(DEADLINE, read_one(client, &key)).await;
        Ok::<_, RuleError>(route.map_err(|_| RuleError::Deadline)??.map(|it| (key, it)))
    });
    let read: Vec<_> = read.buffer_unordered(N_READS).try_collect().await?;
    Ok(read.into_iter().flatten().collect())
}

async fn read_one(
    client: &Client,
    (namespace, name): &RouteKey,
) -> Result<Option<Vec<Vec<Backend>>>, RuleError> {
    let routes: Api<HTTPRoute> = Api::namespaced(client.clone(), namespace);
    let route = routes.get_opt(name).await.map_err(|source| RuleError::Read {
        namespace: namespace.clone(),
        name: name.clone(),
        source: Box::new(source),
    })?;
    Ok(route.map(|it| backends(&it, namespace)))
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
