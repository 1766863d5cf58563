//! What a service says of its model besides where it is: adapters, decryption, and whether files are attached.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::crd::limits;

/// LoRA adapters that are served beside the base model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LoraSpec {
    /// Each with `name` and `uri`, like the model.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = limits::anything)]
    pub adapters: Vec<LoraAdapter>,
    /// Largest rank of an adapter.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::at_least(1))]
    pub max_rank: Option<i32>,
    /// Adapters on the accelerator at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::at_least(1))]
    pub max_adapters: Option<i32>,
    /// Adapters in host memory at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::at_least(1))]
    pub max_cpu_adapters: Option<i32>,
}

/// One LoRA adapter. The upstream schema leaves the list open, so fields of others are kept as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LoraAdapter {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub uri: String,
    #[serde(flatten)]
    pub others: BTreeMap<String, Value>,
}

/// Decryption of weights in a confidential pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfidentialSpec {
    /// Whether the weights are decrypted.
    pub enabled: bool,
    /// Key of the weights: `kbs:///<repository>/<type>/<tag>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<String>,
}

/// Whether the controller attaches the model's files to the pods at all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StorageInitializerSpec {
    /// Whether files are attached; true when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}
