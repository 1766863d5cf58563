//! InferenceModelRewrite: which model really serves requests for a model name, by weight.
//!
//! Like [`objective`](super::objective) it exists in two groups.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::conditions;
use super::reference::PoolReference;
use crate::crd::limits;

/// Rewrites of model names for one pool. The first rule that matches applies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "llm-d.ai",
    version = "v1alpha2",
    kind = "InferenceModelRewrite",
    namespaced,
    schema = "disabled",
    status = "InferenceModelRewriteStatus",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct InferenceModelRewriteSpec {
    pub pool_ref: PoolReference,
    pub rules: Vec<RewriteRule>,
}

/// Requests that match any of `matches`, or all requests when there are none, go to one of the targets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RewriteRule {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<RewriteMatch>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = limits::set("minItems", 1.into()))]
    pub targets: Vec<RewriteTarget>,
}

/// A model name as the client sends it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RewriteMatch {
    pub model: ModelMatch,
}

/// `Exact` (default): the whole name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelMatch {
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::one_of(&["Exact"]), transform = limits::default("Exact"))]
    pub type_: Option<String>,
    #[schemars(transform = limits::set("minLength", 1.into()))]
    pub value: String,
}

/// A model name to serve with, and its share of the requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RewriteTarget {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::between(1, 1_000_000))]
    pub weight: Option<i32>,
    pub model_rewrite: String,
}

/// What the endpoint picker says of the rewrites.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct InferenceModelRewriteStatus {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = conditions::list, transform = conditions::pending("Accepted"))]
    pub conditions: Vec<Condition>,
}

/// The same object in the group of the first generation.
pub mod legacy {
    use super::{
        CustomResource, Deserialize, InferenceModelRewriteStatus, JsonSchema, PoolReference, RewriteRule,
        Serialize,
    };

    /// Rewrites of model names for one pool.
    #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, CustomResource)]
    #[kube(
        group = "inference.networking.x-k8s.io",
        version = "v1alpha2",
        kind = "InferenceModelRewrite",
        namespaced,
        schema = "disabled",
        status = "InferenceModelRewriteStatus",
        derive = "PartialEq"
    )]
    #[serde(rename_all = "camelCase")]
    pub struct InferenceModelRewriteSpec {
        pub pool_ref: PoolReference,
        pub rules: Vec<RewriteRule>,
    }
}
