//! `config.json`: the shape of a model and what this engine must know to run it.
//!
//! Both spellings of the transformers library are read: version 4 (`torch_dtype`, `rope_theta` and
//! `rope_scaling`) and version 5 (`dtype`, `rope_parameters`). A feature this engine does not have is an error
//! that names it: a model is run right or not at all.

mod raw;

use std::path::{Path, PathBuf};

use llmd_kernels::ElementType;
use llmd_kernels::rope::HeadShape;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use self::raw::RawConfig;
use super::registry;
use super::rope::{RopeFrequencies, RopeScaling};
use crate::kv_cache::{KvDtype, KvLayout};

/// Why a model cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is missing or unreadable.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not the JSON that it should be.
    #[error("cannot parse {}", path.display())]
    Parse {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Another kind of model.
    #[error("architecture {found:?} is not supported; supported are {}", registry::names())]
    Architecture {
        /// What `architectures` says.
        found: String,
    },
    /// A known architecture with a part that is not there.
    #[error("{architecture} with {feature} is not supported; use a checkpoint without it")]
    Feature {
        /// The architecture.
        architecture: &'static str,
        /// What is not supported, with its value.
        feature: String,
    },
    /// A value that is missing or cannot be.
    #[error("config.json: {field} {problem}")]
    Value {
        /// Its name.
        field: &'static str,
        /// What is wrong.
        problem: String,
    },
}

/// One token id or several.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum TokenIds {
    /// One.
    One(u32),
    /// Several.
    Many(Vec<u32>),
}

impl TokenIds {
    /// All of them.
    #[must_use]
    pub fn into_vec(self) -> Vec<u32> {
        match self {
            Self::One(id) => vec![id],
            Self::Many(ids) => ids,
        }
    }
}

/// A model that this engine can run.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// The architecture's name.
    pub architecture: &'static str,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Decoder layers.
    pub n_layers: usize,
    /// Attention heads.
    pub heads: HeadShape,
    /// Width of the MLP.
    pub intermediate_size: usize,
    /// Rows of the embedding; some may be padding that the tokenizer does not know.
    pub vocab_size: usize,
    /// Positions the model knows.
    pub max_position_embeddings: usize,
    /// Epsilon of every normalisation.
    pub rms_norm_eps: f32,
    /// Base of the rotary embedding.
    pub rope_theta: f64,
    /// How positions are stretched.
    pub rope_scaling: RopeScaling,
    /// Whether the output head is the embedding.
    pub tie_word_embeddings: bool,
    /// Whether query, key and value projections have a bias.
    pub qkv_bias: bool,
    /// Whether the attention's output projection has a bias.
    pub output_bias: bool,
    /// Whether the MLP's projections have a bias.
    pub mlp_bias: bool,
    /// Whether query and key heads are normalised.
    pub qk_norm: bool,
    /// End-of-sequence tokens.
    pub eos_token_ids: Vec<u32>,
    /// Beginning-of-sequence token.
    pub bos_token_id: Option<u32>,
    /// How the checkpoint says its weights are stored.
    pub dtype: ElementType,
}

impl ModelConfig {
    /// Reads `config.json` of a model folder.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn from_folder(folder: &Path) -> Result<Self, ConfigError> {
        read_json::<RawConfig>(&folder.join("config.json"))?.check()
    }

    /// Parses the text of a `config.json`.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        let raw: RawConfig = serde_json::from_str(text)
            .map_err(|source| ConfigError::Parse { path: "config.json".into(), source })?;
        raw.check()
    }

    /// Angles of the rotary embedding.
    #[must_use]
    pub fn rope(&self) -> RopeFrequencies {
        RopeFrequencies::new(self.heads.head_dim, self.rope_theta, self.rope_scaling)
    }

    /// Geometry of this model's KV blocks. Without `dtype`, f32 models cache f32 and all others bf16.
    #[must_use]
    pub fn kv_layout(&self, block_size: usize, dtype: Option<KvDtype>) -> KvLayout {
        let natural = match self.dtype {
            ElementType::F32 => KvDtype::F32,
            ElementType::Bf16 | ElementType::F16 => KvDtype::Bf16,
        };
        KvLayout {
            n_layers: self.n_layers,
            n_kv_heads: self.heads.n_kv_heads,
            head_dim: self.heads.head_dim,
            block_size,
            dtype: dtype.unwrap_or(natural),
        }
    }
}

/// Reads a JSON file.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let text = std::fs::read(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    serde_json::from_slice(&text).map_err(|source| ConfigError::Parse { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
