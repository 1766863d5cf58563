//! `inference.networking.k8s.io/v1` InferencePool: which pods serve and who picks among them.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::conditions;
use crate::crd::limits;
use crate::gateway::ParentReference;

/// Pods, their ports, and their endpoint picker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "inference.networking.k8s.io",
    version = "v1",
    kind = "InferencePool",
    shortname = "infpool",
    namespaced,
    schema = "disabled",
    status = "InferencePoolStatus",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = limits::required(&["selector", "targetPorts"]))]
pub struct InferencePoolSpec {
    pub selector: PoolSelector,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = limits::items(1, 8), transform = limits::atomic)]
    #[schemars(transform = limits::rule(
        "self.all(a, self.exists_one(b, a.number == b.number))",
        "each port stands once"
    ))]
    pub target_ports: Vec<PortNumber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::one_of(&["http", "kubernetes.io/h2c"]), transform = limits::default("http"))]
    pub app_protocol: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_picker_ref: Option<EndpointPickerRef>,
}

/// Labels that every pod of the pool carries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = limits::required(&["matchLabels"]))]
pub struct PoolSelector {
    #[schemars(transform = label_selector)]
    pub match_labels: BTreeMap<String, String>,
}

/// A port by number, 1 to 65535.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PortNumber {
    #[schemars(transform = limits::port)]
    pub number: i32,
}

/// The Service of the endpoint picker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = limits::rule("self.kind != 'Service' || has(self.port)", "a Service needs a port"))]
pub struct EndpointPickerRef {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::group, transform = limits::default(""))]
    pub group: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::kind, transform = limits::default("Service"))]
    pub kind: Option<String>,
    #[schemars(transform = limits::object_name)]
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<PortNumber>,
    /// `FailOpen` or `FailClose` (default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::one_of(&["FailOpen", "FailClose"]), transform = limits::default("FailClose"))]
    pub failure_mode: Option<String>,
}

/// What each gateway says of the pool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct InferencePoolStatus {
    #[schemars(transform = limits::items(0, 32), transform = limits::atomic)]
    pub parents: Vec<PoolParentStatus>,
}

/// One gateway's word on the pool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = limits::required(&["parentRef"]))]
pub struct PoolParentStatus {
    #[schemars(transform = conditions::list)]
    pub conditions: Vec<Condition>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::length(1, 253), transform = limits::pattern(CONTROLLER))]
    pub controller_name: Option<String>,
    pub parent_ref: ParentReference,
}

/// A domain, a slash and a path.
const CONTROLLER: &str =
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9\/\-._~%!$&'()*+,;=:]+$";

fn label_selector(schema: &mut Schema) {
    limits::set("minProperties", 1.into())(schema);
    limits::set("maxProperties", 64.into())(schema);
    limits::values(json!({
        "type": "string",
        "maxLength": 63,
        "pattern": "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$",
    }))(schema);
}
