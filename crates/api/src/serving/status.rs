//! What the controller reports: conditions, URLs, the objects that serve.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::limits;
use crate::gateway::BackendObjectReference;

/// Status of a service. Lists are atomic: they are replaced as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LLMInferenceServiceStatus {
    /// Generation of the object that this status tells of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Preset names that this service is pinned to, by well-known name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The URL to use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Never set; see `addresses`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
    /// Every URL under which the service answers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = limits::atomic)]
    pub addresses: Vec<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router: Option<RouterStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workloads: Option<WorkloadsStatus>,
    /// Configs that were merged, in this order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = limits::atomic)]
    pub applied_configs: Vec<AppliedConfig>,
    /// Replicas of the main workload, for the scale subresource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Label selector of the main workload's pods, for the scale subresource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// How the service is laid out: `single`, `disaggregated` or `multi-node`, the last two possibly joined by `+`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
}

/// Status of a config.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LLMInferenceServiceConfigStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = limits::atomic)]
    pub referenced_by: Vec<ServiceReference>,
}

/// A service that uses a config.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ServiceReference {
    #[schemars(transform = limits::object_name)]
    pub name: String,
    #[schemars(transform = limits::namespace)]
    pub namespace: String,
}

/// A knative condition. The time is RFC 3339 in UTC, to the second.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    #[serde(rename = "type")]
    pub type_: String,
    pub status: String,
    /// Empty for the conditions that `Ready` depends on, `Info` for all others.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub severity: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// A URL under which the service answers, and for which models.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Address {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(rename = "CACerts", skip_serializing_if = "Option::is_none")]
    pub ca_certs: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<ModelName>,
}

/// The object an address, a gateway entry or a scheduler entry comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Origin {
    #[schemars(transform = limits::group)]
    pub group: String,
    #[schemars(transform = limits::kind)]
    pub kind: String,
    #[schemars(transform = limits::object_name)]
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::namespace)]
    pub namespace: Option<String>,
}

/// A model name as clients send it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct ModelName {
    pub name: String,
}

/// The routing objects in use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RouterStatus {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = limits::atomic)]
    pub gateways: Vec<GatewayStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<SchedulerStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupStatus>,
}

/// A gateway in use and the routes that reach this service through it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayStatus {
    #[serde(flatten)]
    pub origin: Origin,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = limits::atomic, transform = limits::each(limits::subdomain))]
    pub listeners: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = limits::atomic)]
    pub http_routes: Vec<Origin>,
}

/// The pool and the endpoint picker's Service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SchedulerStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inference_pool: Option<Origin>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<Origin>,
}

/// The services that share a route.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GroupStatus {
    pub name: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = limits::keyed_by("name"))]
    pub members: Vec<GroupMember>,
}

/// One service of a routing group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupMember {
    pub name: String,
    pub weight: i32,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_ref: Option<BackendObjectReference>,
}

/// The workloads of the service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WorkloadsStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary: Option<WorkloadReference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefill: Option<WorkloadReference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<WorkloadReference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<WorkloadReference>,
}

/// One workload and how many of its replicas can serve.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = limits::atomic_object)]
pub struct WorkloadReference {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_group: Option<String>,
    pub kind: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_replicas: Option<i32>,
}

/// A config that went into the effective spec.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AppliedConfig {
    #[schemars(transform = limits::object_name)]
    pub name: String,
    #[schemars(transform = limits::namespace)]
    pub namespace: String,
    pub source: ConfigSource,
}

/// Why a config was applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConfigSource {
    /// Chosen by the controller from what the service asks for.
    #[default]
    Preset,
    /// Named in `spec.baseRefs`.
    UserRef,
}
