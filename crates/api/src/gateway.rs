//! Gateway API v1: the route that this stack makes, and of Gateway and GatewayClass what it reads.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::limits;

pub mod auth;
pub mod filter;
pub mod route;

pub use filter::HttpRouteFilter;
pub use route::{
    HTTPRoute, HttpBackendRef, HttpPathMatch, HttpRouteMatch, HttpRouteRule, HttpRouteSpec, HttpRouteStatus,
    HttpRouteTimeouts, HttpValueMatch, RouteParentStatus,
};

/// A backend: a Service unless group and kind say otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = limits::rule(
    "self.group != '' || self.kind != 'Service' || has(self.port)",
    "a Service needs a port"
))]
pub struct BackendObjectReference {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::group, transform = limits::default(""))]
    pub group: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::kind, transform = limits::default("Service"))]
    pub kind: Option<String>,
    #[schemars(transform = limits::object_name)]
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::namespace)]
    pub namespace: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::port)]
    pub port: Option<i32>,
}

/// A route's or pool's parent: a Gateway unless group and kind say otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParentReference {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::group, transform = limits::default("gateway.networking.k8s.io"))]
    pub group: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::kind, transform = limits::default("Gateway"))]
    pub kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::namespace)]
    pub namespace: Option<String>,
    #[schemars(transform = limits::object_name)]
    pub name: String,
    /// A listener of the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::subdomain)]
    pub section_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::port)]
    pub port: Option<i32>,
}

/// A gateway or ingress that a service names. `section_name` is a listener and only of gateways.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectReference {
    #[schemars(transform = limits::object_name)]
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::namespace)]
    pub namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::subdomain)]
    pub section_name: Option<String>,
}

impl ParentReference {
    /// The namespace that an object of the namespace `home` means.
    #[must_use]
    pub fn namespace_in<'a>(&'a self, home: &'a str) -> &'a str {
        given(self.namespace.as_deref()).unwrap_or(home)
    }
}

impl ObjectReference {
    /// The namespace that an object of the namespace `home` means.
    #[must_use]
    pub fn namespace_in<'a>(&'a self, home: &'a str) -> &'a str {
        given(self.namespace.as_deref()).unwrap_or(home)
    }
}

/// Go clients write the empty text where a field is not given.
fn given(field: Option<&str>) -> Option<&str> {
    field.filter(|it| !it.is_empty())
}

/// Accepts traffic on listeners. Only what this stack reads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "gateway.networking.k8s.io",
    version = "v1",
    kind = "Gateway",
    namespaced,
    status = "GatewayStatus",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewaySpec {
    pub gateway_class_name: String,
    pub listeners: Vec<Listener>,
}

/// A port and protocol of a gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Listener {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    pub port: i32,
    pub protocol: String,
}

/// What the gateway's controller reports.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GatewayStatus {
    pub addresses: Vec<GatewayAddress>,
    pub conditions: Vec<Condition>,
}

/// Where a gateway listens: `IPAddress` (default) or `Hostname`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GatewayAddress {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
    pub value: String,
}

/// The controller behind gateways of one class.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(group = "gateway.networking.k8s.io", version = "v1", kind = "GatewayClass", derive = "PartialEq")]
#[serde(rename_all = "camelCase", default)]
pub struct GatewayClassSpec {
    pub controller_name: String,
}
