//! The weights of several pools behind one rule, from the HTTPRoute.
//!
//! Envoy Gateway makes one cluster of all pools of a rule and keeps their weights to itself, but names the cluster
//! after the rule: `httproute/<namespace>/<name>/rule/<index>`.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use serde_json::Value;

use super::picker::Picker;

/// How long the API server may take for a route.
const DEADLINE: Duration = Duration::from_secs(2);

/// Weights by name of the cluster, in the order of its pools.
pub(super) type Weights = BTreeMap<String, Vec<u32>>;

/// Why weights are not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum RouteError {
    /// The API server did not give the route.
    #[error("cannot read HTTPRoute {namespace}/{name}")]
    Read {
        /// Of the route.
        namespace: String,
        /// Of the route.
        name: String,
        /// What the API server said.
        #[source]
        source: Box<kube::Error>,
    },
    /// It did not answer.
    #[error("the API server does not answer within {DEADLINE:?}")]
    Deadline,
}

/// Reads HTTPRoutes.
#[derive(Clone)]
pub struct RouteWeights {
    client: Client,
}

impl std::fmt::Debug for RouteWeights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RouteWeights")
    }
}

impl RouteWeights {
    /// Reads with the rights of `client`: `get` of HTTPRoutes.
    #[must_use]
    pub const fn new(client: Client) -> Self {
        Self { client }
    }

    /// Weights of the clusters with several pools.
    pub(super) async fn of(&self, pools: &BTreeMap<String, Vec<Picker>>) -> Result<Weights, RouteError> {
        let mut weights = Weights::new();
        for (cluster, pickers) in pools.iter().filter(|(_, pickers)| pickers.len() > 1) {
            let Some(rule) = Rule::of_cluster(cluster) else { continue };
            let route = tokio::time::timeout(DEADLINE, self.read(&rule)).await;
            let route = route.map_err(|_| RouteError::Deadline)??;
            weights.insert(cluster.clone(), rule.weights(&route, pickers));
        }
        Ok(weights)
    }

    async fn read(&self, rule: &Rule<'_>) -> Result<Value, RouteError> {
        let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute");
        let routes: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), rule.namespace, &ApiResource::from_gvk(&kind));
        let route = routes.get(rule.name).await.map_err(|source| RouteError::Read {
            namespace: rule.namespace.to_owned(),
            name: rule.name.to_owned(),
            source: Box::new(source),
        })?;
        Ok(route.data)
    }
}

/// A rule of an HTTPRoute.
#[derive(Debug, PartialEq, Eq)]
struct Rule<'a> {
    namespace: &'a str,
    name: &'a str,
    index: usize,
}

impl<'a> Rule<'a> {
    fn of_cluster(cluster: &'a str) -> Option<Self> {
        let mut parts = cluster.split('/');
        let (kind, namespace, name) = (parts.next()?, parts.next()?, parts.next()?);
        let (word, index) = (parts.next()?, parts.next()?.parse().ok()?);
        (kind == "httproute" && word == "rule").then_some(Self { namespace, name, index })
    }

    /// Weights of the rule's backends that are these pools, in their order; 1 is Gateway API's default.
    fn weights(&self, route: &Value, pickers: &[Picker]) -> Vec<u32> {
        let backends = route["spec"]["rules"][self.index]["backendRefs"].as_array();
        let weight_of = |picker: &Picker| {
            let is_it = |backend: &&Value| {
                let namespace = backend["namespace"].as_str().unwrap_or(self.namespace);
                backend["kind"] == "InferencePool"
                    && backend["name"] == *picker.pool
                    && namespace == picker.namespace
            };
            let weight = backends?.iter().find(is_it)?["weight"].as_u64()?;
            u32::try_from(weight).ok()
        };
        pickers.iter().map(|it| weight_of(it).unwrap_or(1)).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_name_of_a_cluster_leads_to_its_rule() {
        let rule = Rule { namespace: "team", name: "chat", index: 3 };
        assert_eq!(Rule::of_cluster("httproute/team/chat/rule/3"), Some(rule));
        assert_eq!(Rule::of_cluster("grpcroute/team/chat/rule/3"), None);
        assert_eq!(Rule::of_cluster("httproute/team"), None);
    }

    #[test]
    fn weights_are_in_the_order_of_the_pools() {
        let picker = |pool: &str| Picker {
            namespace: "team".into(),
            pool: pool.into(),
            service: "epp".into(),
            port: 9002,
            fail_open: false,
        };
        let route = json!({ "spec": { "rules": [{}, { "backendRefs": [
            { "kind": "InferencePool", "name": "new", "weight": 5 },
            { "kind": "Service", "name": "old", "weight": 7 },
            { "kind": "InferencePool", "name": "old", "weight": 95 },
            { "kind": "InferencePool", "name": "plain" },
        ] }] } });
        let rule = Rule { namespace: "team", name: "chat", index: 1 };
        let pools = ["old", "new", "plain"].map(picker);
        assert_eq!(rule.weights(&route, &pools), [95, 5, 1]);
    }
}
