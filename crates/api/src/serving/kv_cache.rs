//! KV cache tiers below the accelerator: host memory, then file systems.

use k8s_openapi::api::core::v1::PersistentVolumeClaimSpec;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::limits;

/// Tiers below the accelerator's KV cache.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KvCacheOffloadingSpec {
    /// Host memory for offloaded blocks, in bytes.
    pub cpu: Quantity,
    /// `lru` (default) or `arc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::one_of(&["lru", "arc"]), transform = limits::default("lru"))]
    pub eviction_policy: Option<String>,
    /// Tiers below host memory, fastest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secondary: Vec<KvCacheTier>,
}

/// One tier below host memory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KvCacheTier {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_system: Option<FileSystemTier>,
}

/// A KV tier in a file system: exactly one of the two.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FileSystemTier {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub empty_dir: Option<EmptyDirTier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pvc: Option<PvcTier>,
}

/// A KV tier on the node's disk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EmptyDirTier {
    /// Space for the tier on the node.
    pub size: Quantity,
}

/// A KV tier in a persistent volume: exactly one of the two.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PvcTier {
    /// A claim made for each pod and deleted with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<PersistentVolumeClaimSpec>,
    /// An existing claim.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<PvcReference>,
}

/// An existing claim and a folder in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PvcReference {
    pub name: String,
    /// Folder in the claim; its root when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}
