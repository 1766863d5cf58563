//! `EndpointPickerConfig`: which plugins exist and how they form scheduling profiles.

use serde::Deserialize;
use serde_json::Value;

/// The configuration file as written.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct EndpointPickerConfig {
    /// Group and version.
    pub api_version: String,
    /// `EndpointPickerConfig`.
    pub kind: String,
    /// Plugin instances.
    #[serde(default)]
    pub plugins: Vec<Value>,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The text is not YAML of the expected shape.
    #[error("cannot parse the endpoint picker configuration: {0}")]
    Parse(String),
}

impl EndpointPickerConfig {
    /// Parses YAML (or JSON) text strictly.
    ///
    /// # Errors
    /// [`ConfigError::Parse`] when the text has another shape.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        serde_saphyr::from_str(text).map_err(|error| ConfigError::Parse(error.to_string()))
    }

    /// The configuration used when none is given.
    #[must_use]
    pub fn without_file() -> Self {
        Self::default()
    }
}
