//! HTTPRoute: which requests of which gateways go to which backends.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{BackendObjectReference, HttpRouteFilter, ParentReference, filter};
use crate::crd::limits;

/// Routes HTTP requests of one or more gateways to backends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "gateway.networking.k8s.io",
    version = "v1",
    kind = "HTTPRoute",
    namespaced,
    status = "HttpRouteStatus",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRouteSpec {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = limits::items(0, 32), transform = limits::atomic)]
    pub parent_refs: Vec<ParentReference>,
    /// Whether gateways marked as default carry the route: `All` or `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::one_of(&["All", "None"]))]
    pub use_default_gateways: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = limits::items(0, 16), transform = limits::atomic)]
    #[schemars(transform = limits::each(hostname))]
    pub hostnames: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = limits::items(1, 16), transform = limits::atomic)]
    #[schemars(transform = limits::default(json!([{ "matches": every_path() }])))]
    #[schemars(transform = limits::rule(
        "self.map(r, size(r.matches)).sum() <= 128",
        "all rules together may have 128 matches"
    ))]
    pub rules: Vec<HttpRouteRule>,
}

/// Requests that match go to one of the backends, by weight.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = limits::rule(
    "!has(self.backendRefs) || size(self.backendRefs) == 0 || !has(self.filters) \
     || !self.filters.exists(f, has(f.requestRedirect))",
    "a rule that redirects has no backendRefs"
))]
#[schemars(transform = filter::prefix_rule("requestRedirect"), transform = filter::prefix_rule("urlRewrite"))]
#[schemars(transform = filter::backend_prefix_rule("requestRedirect"))]
#[schemars(transform = filter::backend_prefix_rule("urlRewrite"))]
pub struct HttpRouteRule {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::subdomain)]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = limits::items(0, 64), transform = limits::atomic)]
    #[schemars(transform = limits::default(every_path()))]
    pub matches: Vec<HttpRouteMatch>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = filter::list)]
    pub filters: Vec<HttpRouteFilter>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = limits::items(0, 16), transform = limits::atomic)]
    pub backend_refs: Vec<HttpBackendRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<HttpRouteTimeouts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<HttpRouteRetry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_persistence: Option<SessionPersistence>,
}

/// All of these must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRouteMatch {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::default(json!({ "type": "PathPrefix", "value": "/" })))]
    pub path: Option<HttpPathMatch>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = limits::items(0, 16), transform = limits::keyed_by("name"))]
    pub headers: Vec<HttpValueMatch>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = limits::items(0, 16), transform = limits::keyed_by("name"))]
    #[schemars(transform = limits::each(limits::set("properties", json!({ "value": { "maxLength": 1024 } }))))]
    pub query_params: Vec<HttpValueMatch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::method)]
    pub method: Option<String>,
}

/// `Exact`, `PathPrefix` (default) or `RegularExpression`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(transform = literal_path(
    r#"self.value.startsWith('/') && !['//', '/./', '/../', '%2f', '%2F', '#'].exists(s, self.value.contains(s))
    && !self.value.endsWith('/..') && !self.value.endsWith('/.')"#,
    "the path starts with / and has no empty, . or .. segment, no encoded slash and no fragment"
))]
#[schemars(transform = literal_path(
    r#"self.value.matches(r"""^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$""")"#,
    "the path has only characters that a URL's path may have"
))]
pub struct HttpPathMatch {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::one_of(&["Exact", "PathPrefix", "RegularExpression"]))]
    #[schemars(transform = limits::default("PathPrefix"))]
    pub type_: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::length(0, 1024), transform = limits::default("/"))]
    pub value: Option<String>,
}

/// A header or query parameter: `Exact` (default) or `RegularExpression`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HttpValueMatch {
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::one_of(&["Exact", "RegularExpression"]), transform = limits::default("Exact"))]
    pub type_: Option<String>,
    #[schemars(transform = limits::header_name)]
    pub name: String,
    #[schemars(transform = limits::length(1, 4096))]
    pub value: String,
}

/// A backend and its share of the requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpBackendRef {
    #[serde(flatten)]
    pub object: BackendObjectReference,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::between(0, 1_000_000), transform = limits::default(1))]
    pub weight: Option<i32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = filter::list)]
    pub filters: Vec<HttpRouteFilter>,
}

/// Durations as Gateway API writes them (`10s`; `0s` = none).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = limits::rule(
    "!has(self.request) || !has(self.backendRequest) || duration(self.request) == duration('0s') \
     || duration(self.backendRequest) <= duration(self.request)",
    "backendRequest is at most request"
))]
pub struct HttpRouteTimeouts {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::duration)]
    pub request: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::duration)]
    pub backend_request: Option<String>,
}

/// When a gateway sends a request again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HttpRouteRetry {
    /// HTTP status codes that lead to another attempt.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = limits::atomic, transform = limits::each(limits::between(400, 599)))]
    pub codes: Vec<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<i64>,
    /// Least pause between two attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::duration)]
    pub backoff: Option<String>,
}

/// Sends the requests of one client session to one backend.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = limits::rule(
    "!has(self.cookieConfig) || !has(self.cookieConfig.lifetimeType) \
     || self.cookieConfig.lifetimeType == 'Session' || has(self.absoluteTimeout)",
    "a permanent cookie needs absoluteTimeout"
))]
#[schemars(transform = limits::rule(
    "!has(self.cookieConfig) || self.type == 'Cookie'",
    "cookieConfig goes with type Cookie"
))]
pub struct SessionPersistence {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::length(0, 128))]
    pub session_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::duration)]
    pub absolute_timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::duration)]
    pub idle_timeout: Option<String>,
    /// `Cookie` (default) or `Header`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::one_of(&["Cookie", "Header"]), transform = limits::default("Cookie"))]
    pub type_: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie_config: Option<CookieConfig>,
}

/// How long the session cookie lives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CookieConfig {
    /// `Session` (default) or `Permanent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::one_of(&["Permanent", "Session"]), transform = limits::default("Session"))]
    pub lifetime_type: Option<String>,
}

/// What each gateway says of the route.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HttpRouteStatus {
    pub parents: Vec<RouteParentStatus>,
}

/// One gateway's word on the route.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteParentStatus {
    pub parent_ref: ParentReference,
    pub controller_name: String,
    pub conditions: Vec<Condition>,
}

/// The match that a rule has when it names none.
fn every_path() -> serde_json::Value {
    json!([{ "path": { "type": "PathPrefix", "value": "/" } }])
}

/// A host, or all hosts below one (`*.example.com`).
fn hostname(schema: &mut schemars::Schema) {
    limits::length(1, 253)(schema);
    limits::pattern(r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")(schema);
}

/// A rule for paths that are no regular expression.
fn literal_path(rule: &str, message: &'static str) -> impl FnMut(&mut schemars::Schema) {
    limits::rule(format!("self.type == 'RegularExpression' || ({rule})"), message)
}
