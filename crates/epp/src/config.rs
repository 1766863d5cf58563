//! `EndpointPickerConfig`: which plugins exist and how they form scheduling profiles.
//!
//! This file is the wire format, read strictly: a field nobody knows is an error, because a misspelt weight that
//! is ignored costs more than a start that fails. [`graph`] applies the defaulting rules and builds the plugins.

use serde::Deserialize;
use serde_json::{Map, Value};

pub mod build;
mod error;
pub mod graph;

pub use error::ConfigError;

/// Accepted values of `apiVersion`, the current one first.
pub const API_VERSIONS: [&str; 2] = ["llm-d.ai/v1alpha1", "inference.networking.x-k8s.io/v1alpha1"];
/// The only value of `kind`.
pub const KIND: &str = "EndpointPickerConfig";

/// The configuration file as written.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct EndpointPickerConfig {
    /// One of [`API_VERSIONS`].
    pub api_version: String,
    /// [`KIND`].
    pub kind: String,
    /// `name`, `name=true` or `name=false`.
    #[serde(default)]
    pub feature_gates: Vec<String>,
    /// Plugin instances.
    #[serde(default)]
    pub plugins: Vec<PluginSpec>,
    /// Pipelines of plugins.
    #[serde(default)]
    pub scheduling_profiles: Vec<ProfileSpec>,
    /// Where endpoints and their metrics come from.
    #[serde(default)]
    pub data_layer: DataLayerSpec,
    /// Parsers of request bodies.
    #[serde(default)]
    pub request_handler: RequestHandlerSpec,
    /// Of use only with the gate `flowControl`.
    #[serde(default)]
    pub flow_control: Option<Value>,
    /// Deprecated; of use only with flow control.
    #[serde(default)]
    pub saturation_detector: Option<Reference>,
    /// Deprecated spelling of one entry of `requestHandler.parsers`.
    #[serde(default)]
    pub parser: Option<Reference>,
}

/// One entry of `plugins`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginSpec {
    /// Defaults to the type.
    pub name: Option<String>,
    /// Wire type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// What the type's factory understands.
    #[serde(default)]
    pub parameters: Value,
}

impl PluginSpec {
    /// A plugin of `type_name` with defaults.
    #[must_use]
    pub fn of_type(type_name: &str) -> Self {
        Self { name: None, type_name: type_name.to_owned(), parameters: Value::Null }
    }

    /// The name other entries refer to.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_deref().filter(|it| !it.is_empty()).unwrap_or(&self.type_name)
    }
}

/// One entry of `schedulingProfiles`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileSpec {
    /// Unique name.
    pub name: String,
    /// Filters, scorers and at most one picker.
    #[serde(default)]
    pub plugins: Vec<WeightedReference>,
}

/// A plugin of a profile.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct WeightedReference {
    /// Name of the plugin.
    pub plugin_ref: String,
    /// Weight of a scorer, 1 when absent.
    #[serde(default)]
    pub weight: Option<f64>,
}

/// A plugin by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Reference {
    /// Name of the plugin.
    #[serde(default)]
    pub plugin_ref: Option<String>,
}

/// `dataLayer`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct DataLayerSpec {
    /// Whether engine metrics are scraped without being asked for; true when absent.
    pub inject_defaults: Option<bool>,
    /// Sources of endpoint data.
    pub sources: Vec<SourceSpec>,
    /// Where endpoints come from.
    pub discovery: DiscoverySpec,
    /// Not supported.
    pub peer_discovery: Option<Reference>,
    /// Not supported.
    pub cross_replica_syncer_plugin_ref: Option<String>,
    /// Of use only with a syncer.
    pub cross_replica_sync_interval: Option<String>,
}

/// `dataLayer.discovery`, in both spellings that releases of the llm-d router use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct DiscoverySpec {
    plugin_ref: Option<String>,
    endpoints: Reference,
}

impl DiscoverySpec {
    /// Name of the discovery plugin.
    #[must_use]
    pub fn plugin(&self) -> Option<&str> {
        self.endpoints.plugin_ref.as_deref().or(self.plugin_ref.as_deref())
    }
}

/// One entry of `dataLayer.sources`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SourceSpec {
    /// Name of the source.
    pub plugin_ref: String,
    /// What reads it.
    #[serde(default)]
    pub extractors: Vec<Reference>,
}

/// `requestHandler`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RequestHandlerSpec {
    /// In order of registration; empty means the default set.
    pub parsers: Vec<Reference>,
}

impl EndpointPickerConfig {
    /// Parses YAML (or JSON) text strictly.
    ///
    /// # Errors
    /// [`ConfigError`] when the text has another shape, version or kind.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self =
            serde_saphyr::from_str(text).map_err(|source| ConfigError::Parse(Box::new(source)))?;
        if !API_VERSIONS.contains(&config.api_version.as_str()) {
            return Err(ConfigError::ApiVersion(config.api_version));
        }
        if config.kind != KIND {
            return Err(ConfigError::Kind(config.kind));
        }
        Ok(config)
    }

    /// Gives plugins of `type_name` the `parameters` that they do not have; adds such a plugin when there is none.
    pub fn add_parameters(&mut self, type_name: &str, parameters: &Map<String, Value>) {
        if parameters.is_empty() {
            return;
        }
        if !self.plugins.iter().any(|it| it.type_name == type_name) {
            self.plugins.push(PluginSpec::of_type(type_name));
        }
        for plugin in self.plugins.iter_mut().filter(|it| it.type_name == type_name) {
            if plugin.parameters.is_null() {
                plugin.parameters = Value::Object(Map::new());
            }
            // Whatever else stands there is refused when the plugin is built.
            if let Value::Object(own) = &mut plugin.parameters {
                for (name, value) in parameters {
                    own.entry(name).or_insert_with(|| value.clone());
                }
            }
        }
    }

    /// The configuration used when none is given: shortest queue, emptiest cache and longest prefix, weighted.
    #[must_use]
    pub fn without_file() -> Self {
        let scorers =
            [("queue-scorer", 2.0), ("kv-cache-utilization-scorer", 2.0), ("prefix-cache-scorer", 3.0)];
        let reference = |&(name, weight): &(&str, f64)| WeightedReference {
            plugin_ref: name.to_owned(),
            weight: Some(weight),
        };
        Self {
            api_version: API_VERSIONS[0].to_owned(),
            kind: KIND.to_owned(),
            plugins: scorers.iter().map(|(name, _)| PluginSpec::of_type(name)).collect(),
            scheduling_profiles: vec![ProfileSpec {
                name: "default".to_owned(),
                plugins: scorers.iter().map(reference).collect(),
            }],
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests;
