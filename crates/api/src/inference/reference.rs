//! How objects of this API name a pool.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::limits;

/// A pool of the same namespace: an InferencePool v1 unless group and kind say otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PoolReference {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::group, transform = limits::default("inference.networking.k8s.io"))]
    pub group: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::kind, transform = limits::default("InferencePool"))]
    pub kind: Option<String>,
    #[schemars(transform = limits::object_name)]
    pub name: String,
}
