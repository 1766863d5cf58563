//! InferencePools of both groups, cut down to what selects pods.

use kube::ResourceExt;
use kube::api::DynamicObject;
use kube::core::ApiResource;
use llmd_api::inference::{pool_v1, pool_v1alpha2};
use llmd_common::report::Report;

/// Which API a pool is an object of; the two share a name and little else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolApi {
    /// `inference.networking.k8s.io/v1`.
    V1,
    /// `inference.networking.x-k8s.io/v1alpha2`.
    V1Alpha2,
}

impl PoolApi {
    /// Both, the current one first.
    pub const ALL: [Self; 2] = [Self::V1, Self::V1Alpha2];

    /// The API of a group, as `--pool-group` names it.
    #[must_use]
    pub fn of_group(group: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.group() == group)
    }

    /// Its group.
    #[must_use]
    pub const fn group(self) -> &'static str {
        match self {
            Self::V1 => "inference.networking.k8s.io",
            Self::V1Alpha2 => "inference.networking.x-k8s.io",
        }
    }

    /// How clients address its pools.
    #[must_use]
    pub fn resource(self) -> ApiResource {
        match self {
            Self::V1 => ApiResource::erase::<pool_v1::InferencePool>(&()),
            Self::V1Alpha2 => ApiResource::erase::<pool_v1alpha2::InferencePool>(&()),
        }
    }

    fn spec(self, object: DynamicObject) -> Result<pool_v1::InferencePoolSpec, impl std::error::Error> {
        match self {
            Self::V1 => object.try_parse::<pool_v1::InferencePool>().map(|it| it.spec),
            Self::V1Alpha2 => object.try_parse::<pool_v1alpha2::InferencePool>().map(|it| it.spec.to_v1()),
        }
    }
}

/// What says which endpoints there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Label selector of the pods; empty when the pool selects none.
    pub selector: String,
    /// Of each pod, in order.
    pub ports: Vec<u16>,
    /// Whether endpoints speak HTTP/2 without TLS only.
    pub is_h2c: bool,
}

/// The pool's name, and what is kept of it; `None`, with a line in the log, when it cannot be read.
#[must_use]
pub fn reduce(api: PoolApi, object: DynamicObject) -> (String, Option<Pool>) {
    let name = object.name_any();
    match api.spec(object) {
        Ok(spec) => (name, Some(Pool::of(&spec))),
        Err(error) => {
            tracing::error!(pool = name, error = %Report(&error), "the pool cannot be read");
            (name, None)
        }
    }
}

impl Pool {
    fn of(spec: &pool_v1::InferencePoolSpec) -> Self {
        let labels: Vec<String> =
            spec.selector.match_labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let ports = spec.target_ports.iter().filter_map(|it| u16::try_from(it.number).ok());
        Self {
            selector: labels.join(","),
            ports: ports.filter(|&it| it > 0).collect(),
            is_h2c: spec.app_protocol.as_deref() == Some("kubernetes.io/h2c"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pool(api: PoolApi, spec: &Value) -> Option<Pool> {
        let resource = api.resource();
        let object = json!({ "apiVersion": resource.api_version, "kind": resource.kind,
                             "metadata": { "name": "pool" }, "spec": spec });
        reduce(api, serde_json::from_value(object).unwrap()).1
    }

    #[test]
    fn pools_of_both_groups_are_read() {
        let v1 = json!({ "selector": { "matchLabels": { "b": "2", "a": "1" } },
                         "targetPorts": [{ "number": 8000 }, { "number": 8001 }],
                         "appProtocol": "kubernetes.io/h2c" });
        let expected = Pool { selector: "a=1,b=2".to_owned(), ports: vec![8000, 8001], is_h2c: true };
        assert_eq!(pool(PoolApi::V1, &v1), Some(expected));
        let v1alpha2 = json!({ "selector": { "a": "1" }, "targetPortNumber": 8000,
                               "extensionRef": { "name": "epp" } });
        let expected = Pool { selector: "a=1".to_owned(), ports: vec![8000], is_h2c: false };
        assert_eq!(pool(PoolApi::V1Alpha2, &v1alpha2), Some(expected));
    }

    #[test]
    fn an_object_of_another_shape_is_no_pool() {
        assert_eq!(pool(PoolApi::V1, &json!({ "targetPorts": "all" })), None);
    }

    #[test]
    fn groups_are_those_of_the_objects() {
        for api in PoolApi::ALL {
            assert_eq!(api.resource().group, api.group());
            assert_eq!(PoolApi::of_group(api.group()), Some(api));
        }
        assert_eq!(PoolApi::of_group("llm-d.ai"), None);
    }
}
