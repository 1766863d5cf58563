//! Pods, cut down to what endpoints need.
//!
//! A pod serves while its condition `Ready` is `True`, it is not being deleted and it has an address. Each target
//! port is an endpoint of its own, so the data-parallel ranks of one pod are told apart; it is called
//! `<pod>-rank-<position of the port>`. An annotation may say which of the ports are in use.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use kube::ResourceExt;
use kube::core::Object;
use serde::Deserialize;

use crate::datastore::EndpointSpec;

/// Annotation with the ports in use, as a list with commas; the current name first. Owner: llm-d.
pub const ACTIVE_PORTS: [&str; 2] = ["llm-d.ai/active-ports", "inference.networking.k8s.io/active-ports"];

/// A pod as it is read from the API server: neither its spec nor most of its status is parsed.
pub type PodObject = Object<Unread, PodStatus>;

/// A part of an object that nobody reads.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Unread {}

/// The part of a pod's status that matters.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    /// Absent until the pod has an address.
    #[serde(rename = "podIP")]
    pub pod_ip: Option<String>,
    /// What the kubelet says of the pod.
    pub conditions: Vec<PodCondition>,
}

/// One condition.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PodCondition {
    /// Its name.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
}

/// A pod that serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    address: IpAddr,
    labels: BTreeMap<String, String>,
    /// `None` = all.
    active_ports: Option<BTreeSet<u16>>,
}

/// The pod's name, and what is kept of it if it serves.
#[must_use]
pub fn reduce(object: PodObject) -> (String, Option<Pod>) {
    let name = object.name_any();
    let address = serving_address(&object);
    let pod = address.map(|address| Pod {
        address,
        active_ports: active_ports(&name, object.annotations()),
        labels: object.metadata.labels.unwrap_or_default(),
    });
    (name, pod)
}

fn serving_address(object: &PodObject) -> Option<IpAddr> {
    let status = object.status.as_ref()?;
    let is_ready = status.conditions.iter().any(|it| it.type_ == "Ready" && it.status == "True");
    let serves = is_ready && object.metadata.deletion_timestamp.is_none();
    status.pod_ip.as_deref().filter(|_| serves)?.parse().ok()
}

/// Words that are no ports are left out, as if they were not there.
fn active_ports(pod: &str, annotations: &BTreeMap<String, String>) -> Option<BTreeSet<u16>> {
    let list = ACTIVE_PORTS.iter().find_map(|it| annotations.get(*it))?;
    let words = list.split(',').map(str::trim).filter(|it| !it.is_empty());
    let port = |word: &str| {
        let port = word.parse().ok().filter(|&it| it > 0);
        if port.is_none() {
            tracing::warn!(pod, word, "{} names something that is no port", ACTIVE_PORTS[0]);
        }
        port
    };
    Some(words.filter_map(port).collect())
}

impl Pod {
    /// The endpoints of the pod called `name` at the `ports` of its pool.
    pub fn endpoints<'a>(
        &'a self,
        name: &'a str,
        namespace: &'a str,
        ports: &'a [u16],
    ) -> impl Iterator<Item = EndpointSpec> + 'a {
        let is_active = |port: u16| self.active_ports.as_ref().is_none_or(|it| it.contains(&port));
        let active = ports.iter().enumerate().filter(move |(_, port)| is_active(**port));
        active.map(move |(rank, &port)| EndpointSpec {
            name: format!("{name}-rank-{rank}"),
            namespace: namespace.to_owned(),
            address: SocketAddr::new(self.address, port),
            labels: self.labels.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(metadata: &Value, status: &Value) -> Option<Pod> {
        let mut object = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
                                 "spec": { "containers": [{ "name": "main" }] }, "status": status });
        object["metadata"]["name"] = "p".into();
        reduce(serde_json::from_value(object).unwrap()).1
    }

    fn ready() -> Value {
        json!({ "podIP": "10.0.0.1", "conditions": [
            { "type": "PodScheduled", "status": "True" }, { "type": "Ready", "status": "True" },
        ] })
    }

    fn addresses(metadata: &Value, ports: &[u16]) -> Vec<(String, String)> {
        let pod = pod(metadata, &ready()).unwrap();
        pod.endpoints("p", "ns", ports).map(|it| (it.name, it.address.to_string())).collect()
    }

    #[test]
    fn a_pod_serves_when_it_is_ready_and_stays() {
        assert!(pod(&json!({}), &ready()).is_some());
        assert!(pod(&json!({ "deletionTimestamp": "2026-01-01T00:00:00Z" }), &ready()).is_none());
        assert!(pod(&json!({}), &json!({ "podIP": "10.0.0.1" })).is_none());
        let not_ready =
            json!({ "podIP": "10.0.0.1", "conditions": [{ "type": "Ready", "status": "False" }] });
        assert!(pod(&json!({}), &not_ready).is_none());
        let no_address = json!({ "conditions": [{ "type": "Ready", "status": "True" }] });
        assert!(pod(&json!({}), &no_address).is_none());
    }

    #[test]
    fn each_port_is_an_endpoint() {
        let expected = [("p-rank-0", "10.0.0.1:8000"), ("p-rank-1", "10.0.0.1:8001")];
        let expected = expected.map(|(name, address)| (name.to_owned(), address.to_owned()));
        assert_eq!(addresses(&json!({}), &[8000, 8001]), expected);
    }

    #[test]
    fn an_annotation_limits_the_ports_and_ranks_keep_their_numbers() {
        let metadata = json!({ "annotations": { "llm-d.ai/active-ports": "8001, nonsense,70000" } });
        assert_eq!(
            addresses(&metadata, &[8000, 8001]),
            [("p-rank-1".to_owned(), "10.0.0.1:8001".to_owned())]
        );
        let legacy = json!({ "annotations": { "inference.networking.k8s.io/active-ports": "8000" } });
        assert_eq!(addresses(&legacy, &[8000, 8001]).len(), 1);
        assert_eq!(addresses(&json!({ "annotations": { "llm-d.ai/active-ports": "" } }), &[8000]), []);
    }

    #[test]
    fn labels_are_kept_for_filters() {
        let pod = pod(&json!({ "labels": { "llm-d.ai/role": "decode" } }), &ready()).unwrap();
        let endpoint = pod.endpoints("p", "ns", &[1]).next().unwrap();
        assert_eq!(endpoint.labels["llm-d.ai/role"], "decode");
        assert_eq!(endpoint.namespace, "ns");
    }
}
