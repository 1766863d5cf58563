//! `inference.networking.x-k8s.io/v1alpha2` InferencePool, which gateways of the first generation read.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::crd::limits;
use crate::gateway::ParentReference;

/// Pods, their one port, and their endpoint picker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "inference.networking.x-k8s.io",
    version = "v1alpha2",
    kind = "InferencePool",
    namespaced,
    schema = "disabled",
    status = "InferencePoolStatus",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = limits::required(&["selector", "targetPortNumber"]))]
pub struct InferencePoolSpec {
    #[schemars(transform = limits::values(json!({ "type": "string", "maxLength": 63 })))]
    pub selector: BTreeMap<String, String>,
    pub target_port_number: i32,
    pub extension_ref: ExtensionRef,
}

/// The Service of the endpoint picker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExtensionRef {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::group)]
    pub group: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::kind)]
    pub kind: Option<String>,
    #[schemars(transform = limits::object_name)]
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::port)]
    pub port_number: Option<i32>,
    /// `FailOpen` or `FailClose` (default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::one_of(&["FailOpen", "FailClose"]))]
    pub failure_mode: Option<String>,
}

/// What each gateway says of the pool; the field is singular in this version.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct InferencePoolStatus {
    pub parent: Vec<PoolParentStatus>,
}

/// One gateway's word on the pool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PoolParentStatus {
    pub conditions: Vec<Condition>,
    pub parent_ref: ParentReference,
}
