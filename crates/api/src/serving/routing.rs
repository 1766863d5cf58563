//! Parts of the router that both API versions share: route, gateways, ingresses, the picker's configuration.

use k8s_openapi::api::core::v1::{ConfigMapKeySelector, LocalObjectReference, PodSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::crd::limits;
use crate::gateway::{HttpRouteSpec, ObjectReference};

/// The route: managed, given, or shared by a group of services with weights.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RouteSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpRouteChoice>,
    /// Services of one namespace that share a route have the same group.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::length(1, 63))]
    #[schemars(transform = limits::pattern("^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub group: Option<String>,
    /// Share of the group's requests, relative to the other members.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::between(0, 1_000_000))]
    pub weight: Option<i32>,
}

/// Routes of the user, or the spec of the managed one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HttpRouteChoice {
    /// HTTPRoutes of the same namespace that the controller leaves alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refs: Vec<LocalObjectReference>,
    /// Merged over the preset of the managed route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<HttpRouteSpec>,
}

/// Gateways that carry the route; none = the installation's default gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GatewaySpec {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refs: Vec<ObjectReference>,
}

/// Ingresses; declared upstream, never created by any controller.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct IngressSpec {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refs: Vec<ObjectReference>,
}

/// An EndpointPickerConfig: exactly one of the two.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SchedulerConfigChoice {
    /// The configuration itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::any_object)]
    pub inline: Option<Value>,
    /// A key of a ConfigMap.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<ConfigMapKeySelector>,
}

/// The Deployment that tokenizes for the endpoint picker.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TokenizerSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<PodSpec>,
}
