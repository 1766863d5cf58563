//! InferenceObjective: what requests of a pool are worth against each other.
//!
//! The object exists in two groups: `llm-d.ai`, which is current, and `inference.networking.x-k8s.io`, which older
//! installations hold. Their specs and statuses are the same.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::conditions;
use super::reference::PoolReference;

/// Priority of requests that name this objective. Requests name it in a header.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "llm-d.ai",
    version = "v1alpha2",
    kind = "InferenceObjective",
    namespaced,
    schema = "disabled",
    status = "InferenceObjectiveStatus",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct InferenceObjectiveSpec {
    /// Higher is served first; absent means 0, and negative requests are dropped first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    pub pool_ref: PoolReference,
}

/// What the endpoint picker says of the objective.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct InferenceObjectiveStatus {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = conditions::list, transform = conditions::pending("Ready"))]
    pub conditions: Vec<Condition>,
}

/// The same object in the group of the first generation.
pub mod legacy {
    use super::{
        CustomResource, Deserialize, InferenceObjectiveStatus, JsonSchema, PoolReference, Serialize,
    };

    /// Priority of requests that name this objective.
    #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, CustomResource)]
    #[kube(
        group = "inference.networking.x-k8s.io",
        version = "v1alpha2",
        kind = "InferenceObjective",
        namespaced,
        schema = "disabled",
        status = "InferenceObjectiveStatus",
        derive = "PartialEq"
    )]
    #[serde(rename_all = "camelCase")]
    pub struct InferenceObjectiveSpec {
        /// Higher is served first; absent means 0.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub priority: Option<i32>,
        pub pool_ref: PoolReference,
    }
}
