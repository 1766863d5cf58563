//! The filter that asks another server whether a request may pass.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::BackendObjectReference;
use crate::crd::limits;

/// Asks a server, over Envoy's gRPC protocol or plain HTTP.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = limits::rule(
    "has(self.grpc) == (self.protocol == 'GRPC')",
    "grpc goes with protocol GRPC and with no other"
))]
#[schemars(transform = limits::rule(
    "has(self.http) == (self.protocol == 'HTTP')",
    "http goes with protocol HTTP and with no other"
))]
pub struct ExternalAuth {
    /// `HTTP` or `GRPC`.
    #[schemars(transform = limits::one_of(&["HTTP", "GRPC"]))]
    pub protocol: String,
    pub backend_ref: BackendObjectReference,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc: Option<GrpcAuth>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpAuth>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward_body: Option<ForwardBody>,
}

/// Settings of the gRPC protocol.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpcAuth {
    /// Headers of the request that the server gets to see.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = limits::items(0, 64), transform = limits::unique)]
    pub allowed_headers: Vec<String>,
}

/// Settings of the HTTP protocol.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpAuth {
    /// Put before the path of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::length(0, 1024))]
    #[schemars(transform = limits::pattern("^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$"))]
    pub path: Option<String>,
    /// Headers of the request that the server gets to see.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = limits::items(0, 64), transform = limits::unique)]
    pub allowed_headers: Vec<String>,
    /// Headers of the server's answer that the backend gets to see.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = limits::items(0, 64), transform = limits::unique)]
    pub allowed_response_headers: Vec<String>,
}

/// How much of the body goes along, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ForwardBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_size: Option<i64>,
}
