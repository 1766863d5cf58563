//! The JSON files beside `tokenizer.json`: which tokens have a role, which are added, where templates may stand.
//!
//! `tokenizer_config.json` is optional (a folder may hold nothing but `tokenizer.json`), and so is
//! `special_tokens_map.json`, which older folders use for the same facts; the former wins where both speak.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

/// A configuration file of a model folder that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file exists (or must exist) but cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file is not a JSON object.
    #[error("{} is not a valid JSON object", path.display())]
    Json {
        /// Which file.
        path: PathBuf,
        /// Where and why parsing stopped.
        source: serde_json::Error,
    },
}

/// Tokens with a role, by the name templates know them under (`bos_token`, `eos_token`, `pad_token`, ...).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpecialTokens(Vec<(String, String)>);

impl SpecialTokens {
    /// Special tokens from (role, token) pairs; of a repeated role the first counts.
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(pairs.into_iter().collect())
    }

    /// The text of the token with this role.
    #[must_use]
    pub fn get(&self, role: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == role).map(|(_, token)| token.as_str())
    }

    /// All (role, token) pairs in file order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(role, token)| (role.as_str(), token.as_str()))
    }

    /// Adds every role of `file` that is not yet known. Roles are the keys that end in `_token` and the members of
    /// `extra_special_tokens`; their values are either the text itself or an object with `content`.
    fn merge(&mut self, file: &Map<String, Value>) {
        let extra = file.get("extra_special_tokens").and_then(Value::as_object);
        let roles = file.iter().filter(|(role, _)| role.ends_with("_token"));
        for (role, value) in roles.chain(extra.into_iter().flatten()) {
            let token = value.as_str().or_else(|| value.get("content")?.as_str());
            if let Some(token) = token.filter(|_| self.get(role).is_none()) {
                self.0.push((role.clone(), token.to_owned()));
            }
        }
    }
}

/// `tokenizer_config.json` and `special_tokens_map.json`, read.
#[derive(Debug, Clone, Default)]
pub(crate) struct TokenizerConfig {
    /// The whole of `tokenizer_config.json`; empty when there is none.
    pub(crate) file: Map<String, Value>,
    /// Tokens with a role.
    pub(crate) special_tokens: SpecialTokens,
}

impl TokenizerConfig {
    /// Reads both files from a model folder; either may be absent.
    pub(crate) fn from_dir(dir: &Path) -> Result<Self, ConfigError> {
        let file = read_object(&dir.join("tokenizer_config.json"))?.unwrap_or_default();
        let mut special_tokens = SpecialTokens::default();
        special_tokens.merge(&file);
        if let Some(map) = read_object(&dir.join("special_tokens_map.json"))? {
            special_tokens.merge(&map);
        }
        Ok(Self { file, special_tokens })
    }
}

/// Reads a text file; `None` when it does not exist.
pub(crate) fn read_text(path: &Path) -> Result<Option<String>, ConfigError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ConfigError::Read { path: path.to_owned(), source }),
    }
}

/// Reads a JSON object; `None` when the file does not exist.
pub(crate) fn read_object(path: &Path) -> Result<Option<Map<String, Value>>, ConfigError> {
    let Some(text) = read_text(path)? else { return Ok(None) };
    let object = serde_json::from_str(&text);
    object.map(Some).map_err(|source| ConfigError::Json { path: path.to_owned(), source })
}
