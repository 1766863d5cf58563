//! Filters of an HTTPRoute: what happens to a request or response on its way.

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::BackendObjectReference;
use super::auth::ExternalAuth;
use crate::crd::limits;

/// One filter; `type` names the member that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = members_follow_type)]
pub struct HttpRouteFilter {
    #[serde(rename = "type")]
    #[schemars(transform = limits::set("enum", json!(TYPES.map(|(name, _)| name))))]
    pub type_: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_header_modifier: Option<HeaderModifier>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_header_modifier: Option<HeaderModifier>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_mirror: Option<RequestMirror>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_redirect: Option<RequestRedirect>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_rewrite: Option<UrlRewrite>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_auth: Option<ExternalAuth>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension_ref: Option<ExtensionReference>,
}

/// Headers to set, add and remove.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HeaderModifier {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = limits::items(0, 16), transform = limits::keyed_by("name"))]
    pub set: Vec<Header>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = limits::items(0, 16), transform = limits::keyed_by("name"))]
    pub add: Vec<Header>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = limits::items(0, 16), transform = limits::unique)]
    pub remove: Vec<String>,
}

/// A header and its value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Header {
    #[schemars(transform = limits::header_name)]
    pub name: String,
    #[schemars(transform = limits::length(1, 4096))]
    pub value: String,
}

/// Sends a copy of some requests elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = limits::rule("!has(self.percent) || !has(self.fraction)", "percent or fraction, not both"))]
pub struct RequestMirror {
    pub backend_ref: BackendObjectReference,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::between(0, 100))]
    pub percent: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fraction: Option<Fraction>,
}

/// A share; the denominator is 100 when absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = limits::rule("self.numerator <= self.denominator", "the share is at most the whole"))]
pub struct Fraction {
    #[schemars(transform = limits::at_least(0))]
    pub numerator: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::at_least(1), transform = limits::default(100))]
    pub denominator: Option<i32>,
}

/// Answers with a redirect.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestRedirect {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::one_of(&["http", "https"]))]
    pub scheme: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::subdomain)]
    pub hostname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathModifier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::port)]
    pub port: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::set("enum", json!([301, 302, 303, 307, 308])), transform = limits::default(302))]
    pub status_code: Option<i32>,
}

/// Changes the URL before the backend sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct UrlRewrite {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::subdomain)]
    pub hostname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathModifier>,
}

/// `ReplaceFullPath` or `ReplacePrefixMatch`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = limits::rule(
    "has(self.replaceFullPath) == (self.type == 'ReplaceFullPath')",
    "replaceFullPath goes with type ReplaceFullPath and with no other"
))]
#[schemars(transform = limits::rule(
    "has(self.replacePrefixMatch) == (self.type == 'ReplacePrefixMatch')",
    "replacePrefixMatch goes with type ReplacePrefixMatch and with no other"
))]
pub struct PathModifier {
    #[serde(rename = "type")]
    #[schemars(transform = limits::one_of(&["ReplaceFullPath", "ReplacePrefixMatch"]))]
    pub type_: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::length(0, 1024))]
    pub replace_full_path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::length(0, 1024))]
    pub replace_prefix_match: Option<String>,
}

/// Cross-origin rules; `max_age` in seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Cors {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_credentials: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = limits::items(0, 64), transform = limits::unique, transform = any_alone)]
    #[schemars(transform = limits::each(limits::header_name))]
    pub allow_headers: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = limits::items(0, 9), transform = limits::unique, transform = any_alone)]
    #[schemars(transform = limits::each(limits::method_or_any))]
    pub allow_methods: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = limits::items(0, 64), transform = limits::unique, transform = any_alone)]
    #[schemars(transform = limits::each(origin))]
    pub allow_origins: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = limits::items(0, 64), transform = limits::unique)]
    #[schemars(transform = limits::each(limits::header_name))]
    pub expose_headers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::at_least(1), transform = limits::default(5))]
    pub max_age: Option<i32>,
}

/// A filter defined by the gateway's own API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExtensionReference {
    #[schemars(transform = limits::group)]
    pub group: String,
    #[schemars(transform = limits::kind)]
    pub kind: String,
    #[schemars(transform = limits::object_name)]
    pub name: String,
}

/// Each type of filter and the member that holds its settings. `externalAuth` has a member but no type in the
/// standard channel of Gateway API.
const TYPES: [(&str, &str); 7] = [
    ("RequestHeaderModifier", "requestHeaderModifier"),
    ("ResponseHeaderModifier", "responseHeaderModifier"),
    ("RequestMirror", "requestMirror"),
    ("RequestRedirect", "requestRedirect"),
    ("URLRewrite", "urlRewrite"),
    ("ExtensionRef", "extensionRef"),
    ("CORS", "cors"),
];

/// Filters that a list may hold once.
const ONCE: [&str; 5] =
    ["CORS", "RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite"];

fn members_follow_type(schema: &mut Schema) {
    for (type_, member) in TYPES {
        let rule = format!("has(self.{member}) == (self.type == '{type_}')");
        limits::rule(rule, format!("{member} goes with type {type_} and with no other"))(schema);
    }
}

/// A list of filters: of a rule or of a backend.
pub(super) fn list(schema: &mut Schema) {
    limits::items(0, 16)(schema);
    limits::atomic(schema);
    limits::rule(
        "!self.exists(f, f.type == 'RequestRedirect') || !self.exists(f, f.type == 'URLRewrite')",
        "a redirect and a rewrite exclude each other",
    )(schema);
    for type_ in ONCE {
        let rule = format!("self.filter(f, f.type == '{type_}').size() <= 1");
        limits::rule(rule, format!("one {type_} filter at most"))(schema);
    }
}

/// A filter of a rule that replaces the matched prefix needs to know which prefix matched.
pub(super) fn prefix_rule(member: &str) -> impl FnMut(&mut Schema) + use<> {
    needs_one_prefix(
        &format!("has(self.filters) && self.filters.exists_one(f, {})", replaces_prefix(member)),
        &format!("{member} with replacePrefixMatch needs exactly one match, of type PathPrefix"),
    )
}

/// The same for filters of the rule's backends.
pub(super) fn backend_prefix_rule(member: &str) -> impl FnMut(&mut Schema) + use<> {
    let filters = format!("has(b.filters) && b.filters.exists_one(f, {})", replaces_prefix(member));
    needs_one_prefix(
        &format!("has(self.backendRefs) && self.backendRefs.exists_one(b, {filters})"),
        &format!("{member} of a backend with replacePrefixMatch needs exactly one match, of type PathPrefix"),
    )
}

fn replaces_prefix(member: &str) -> String {
    format!("has(f.{member}) && has(f.{member}.path) && f.{member}.path.type == 'ReplacePrefixMatch'")
}

fn needs_one_prefix(condition: &str, message: &str) -> impl FnMut(&mut Schema) + use<> {
    let one_prefix =
        "size(self.matches) == 1 && has(self.matches[0].path) && self.matches[0].path.type == 'PathPrefix'";
    limits::rule(format!("!({condition}) || ({one_prefix})"), message.to_owned())
}

fn any_alone(schema: &mut Schema) {
    limits::rule("!('*' in self) || size(self) == 1", "'*' stands alone")(schema);
}

fn origin(schema: &mut Schema) {
    const ORIGIN: &str =
        r"(^\*$)|(^(http(s)?):\/\/(((\*\.)?([a-zA-Z0-9\-]+\.)*[a-zA-Z0-9-]+|\*)(:([0-9]{1,5}))?)$)";
    limits::length(1, 253)(schema);
    limits::pattern(ORIGIN)(schema);
}
