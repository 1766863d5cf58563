//! `generation_config.json`: how the model's makers sample from it.

use std::path::Path;

use serde::Deserialize;

use super::config::{ConfigError, TokenIds, read_json};

/// The sampling defaults of a checkpoint. Absent values are `None`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct GenerationConfig {
    /// End-of-sequence tokens.
    #[serde(rename = "eos_token_id")]
    pub eos_token_ids: Option<TokenIds>,
    /// Softmax temperature.
    pub temperature: Option<f32>,
    /// Most likely tokens kept.
    pub top_k: Option<i64>,
    /// Probability mass kept.
    pub top_p: Option<f32>,
    /// Least probability kept, as a share of the best.
    pub min_p: Option<f32>,
    /// Penalty on tokens that were seen.
    pub repetition_penalty: Option<f32>,
    /// Tokens to generate at most.
    pub max_new_tokens: Option<u32>,
}

impl GenerationConfig {
    /// Reads it from a model folder; a folder without the file has no defaults.
    ///
    /// # Errors
    /// When the file is there and is not what it should be.
    pub fn from_folder(folder: &Path) -> Result<Self, ConfigError> {
        let path = folder.join("generation_config.json");
        if path.exists() { read_json(&path) } else { Ok(Self::default()) }
    }
}
