//! Text ⇄ token ids as `tokenizer.json` defines them.
//!
//! A thin layer over the `tokenizers` crate that adds what a server needs: errors that name the file, no silent
//! truncation or padding (some checkpoints ship with them switched on from training), tokens that only
//! `tokenizer_config.json` declares, and ids beyond the vocabulary, which real checkpoints have as padding rows of the
//! embedding: they decode to nothing instead of failing.
//!
//! Not here: `sentencepiece` or `tiktoken` files. A folder without `tokenizer.json` is refused with a message.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};
use tokenizers::AddedToken;

use crate::config::{ConfigError, SpecialTokens, TokenizerConfig};
use crate::token_bytes::Alphabet;

/// Why a tokenizer cannot be loaded or a text not be tokenized.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// The folder has no `tokenizer.json`.
    #[error(
        "no tokenizer.json in {}: convert the tokenizer with `AutoTokenizer.from_pretrained(..).save_pretrained(..)`",
        dir.display()
    )]
    Missing {
        /// The model folder.
        dir: PathBuf,
    },
    /// A file beside `tokenizer.json` cannot be used.
    #[error("the tokenizer's configuration cannot be used")]
    Config(#[from] ConfigError),
    /// `tokenizer.json` cannot be understood.
    #[error("{} is not a usable tokenizer", path.display())]
    Load {
        /// Which file.
        path: PathBuf,
        /// What `tokenizers` said.
        source: tokenizers::Error,
    },
    /// The text cannot be tokenized.
    #[error("the text cannot be tokenized")]
    Encode(#[source] tokenizers::Error),
    /// The ids cannot be turned into text.
    #[error("the token ids cannot be decoded")]
    Decode(#[source] tokenizers::Error),
}

/// A loaded tokenizer. Clones share it.
#[derive(Clone)]
pub struct Tokenizer {
    inner: Arc<Inner>,
}

struct Inner {
    model: tokenizers::Tokenizer,
    alphabet: Alphabet,
    special_tokens: SpecialTokens,
    special_ids: HashSet<u32>,
}

impl Tokenizer {
    /// Loads `tokenizer.json` and, where present, `tokenizer_config.json` and `special_tokens_map.json`.
    pub fn from_dir(dir: impl AsRef<Path>) -> Result<Self, TokenizerError> {
        let dir = dir.as_ref();
        let path = dir.join("tokenizer.json");
        if !path.is_file() {
            return Err(TokenizerError::Missing { dir: dir.to_owned() });
        }
        let config = TokenizerConfig::from_dir(dir)?;
        Self::load(&path, config).map_err(|source| TokenizerError::Load { path, source })
    }

    fn load(path: &Path, config: TokenizerConfig) -> Result<Self, tokenizers::Error> {
        let mut model = tokenizers::Tokenizer::from_file(path)?;
        model.with_truncation(None)?;
        model.with_padding(None);
        model.add_tokens(declared_tokens(&config.file))?;
        let added = model.get_added_tokens_decoder();
        let special_ids = added.into_iter().filter(|(_, token)| token.special).map(|(id, _)| id).collect();
        let alphabet = Alphabet::of(model.get_decoder());
        let special_tokens = config.special_tokens;
        Ok(Self { inner: Arc::new(Inner { model, alphabet, special_tokens, special_ids }) })
    }

    /// Token ids of `text`. With `add_special_tokens` the tokenizer's own begin/end tokens are put around it, as for a
    /// raw completion prompt; a rendered chat template already holds them.
    pub fn encode(&self, text: &str, add_special_tokens: bool) -> Result<Vec<u32>, TokenizerError> {
        let encoding =
            self.inner.model.encode_fast(text, add_special_tokens).map_err(TokenizerError::Encode)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Text of `ids`. Bytes that are no valid UTF-8 become U+FFFD; unknown ids are left out.
    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String, TokenizerError> {
        self.inner.model.decode(ids, skip_special_tokens).map_err(TokenizerError::Decode)
    }

    /// The bytes that a token adds to a text, part of a character included; none for an unknown id.
    #[must_use]
    pub fn token_bytes(&self, id: u32) -> Vec<u8> {
        let Some(token) = self.id_to_token(id) else { return Vec::new() };
        let decoded = || self.decode(&[id], false).unwrap_or_default().into_bytes();
        self.inner.alphabet.bytes(&token).unwrap_or_else(decoded)
    }

    /// The id of a token given by its exact vocabulary text.
    #[must_use]
    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.inner.model.token_to_id(token)
    }

    /// The vocabulary text of an id (for byte-level tokenizers in their printable alphabet, `Ġthe`).
    #[must_use]
    pub fn id_to_token(&self, id: u32) -> Option<String> {
        self.inner.model.id_to_token(id)
    }

    /// Whether `skip_special_tokens` leaves this id out.
    #[must_use]
    pub fn is_special(&self, id: u32) -> bool {
        self.inner.special_ids.contains(&id)
    }

    /// Number of tokens, added ones included. A model's embedding may have more rows than this.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.inner.model.get_vocab_size(true)
    }

    /// Tokens with a role (`bos_token`, `eos_token`, ...), which chat templates refer to by name.
    #[must_use]
    pub fn special_tokens(&self) -> &SpecialTokens {
        &self.inner.special_tokens
    }

    /// The id of the token with this role, for example `eos_token`.
    #[must_use]
    pub fn special_token_id(&self, role: &str) -> Option<u32> {
        self.token_to_id(self.inner.special_tokens.get(role)?)
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer").field("vocab_size", &self.vocab_size()).finish_non_exhaustive()
    }
}

/// The members of `added_tokens_decoder` in id order; `tokenizers` ignores those that `tokenizer.json` already has.
fn declared_tokens(config: &Map<String, Value>) -> Vec<AddedToken> {
    let declared = config.get("added_tokens_decoder").and_then(Value::as_object);
    let by_id: BTreeMap<u32, AddedToken> = declared
        .into_iter()
        .flatten()
        .filter_map(|(id, token)| Some((id.parse().ok()?, serde_json::from_value(token.clone()).ok()?)))
        .collect();
    by_id.into_values().collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn tiny() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/models/llmd-tiny")
    }

    #[test]
    fn roles_ids_and_tokens_of_the_demo_model() {
        let tokenizer = Tokenizer::from_dir(tiny()).unwrap();
        assert_eq!(tokenizer.vocab_size(), 2048);
        assert_eq!(tokenizer.special_tokens().get("eos_token"), Some("<|im_end|>"));
        assert_eq!(tokenizer.special_token_id("eos_token"), Some(3));
        assert_eq!(tokenizer.special_token_id("mask_token"), None);
        assert_eq!(tokenizer.token_to_id("<|im_start|>"), Some(2));
        assert_eq!(tokenizer.id_to_token(2).as_deref(), Some("<|im_start|>"));
        assert_eq!(tokenizer.id_to_token(2048), None);
        assert!(tokenizer.is_special(4) && !tokenizer.is_special(5));
    }

    #[test]
    fn truncation_and_padding_of_the_file_are_switched_off() {
        let folder = tempfile::tempdir().unwrap();
        let text = fs::read_to_string(tiny().join("tokenizer.json")).unwrap();
        let mut file: Value = serde_json::from_str(&text).unwrap();
        file["truncation"] = serde_json::json!(
            {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0});
        file["padding"] = serde_json::json!({"strategy": {"Fixed": 64}, "direction": "Right",
            "pad_to_multiple_of": null, "pad_id": 4, "pad_type_id": 0, "pad_token": "<|pad|>"});
        fs::write(folder.path().join("tokenizer.json"), file.to_string()).unwrap();
        let changed = Tokenizer::from_dir(folder.path()).unwrap();
        let text = "a longer text than four tokens";
        assert_eq!(
            changed.encode(text, true).unwrap(),
            Tokenizer::from_dir(tiny()).unwrap().encode(text, true).unwrap()
        );
    }

    #[test]
    fn what_is_wrong_with_a_folder_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let error = Tokenizer::from_dir(folder.path()).unwrap_err();
        assert!(matches!(&error, TokenizerError::Missing { dir } if dir == folder.path()));
        fs::write(folder.path().join("tokenizer.json"), "{}").unwrap();
        let error = Tokenizer::from_dir(folder.path()).unwrap_err();
        assert!(matches!(&error, TokenizerError::Load { path, .. } if path.ends_with("tokenizer.json")));
        fs::write(folder.path().join("tokenizer_config.json"), "[]").unwrap();
        let error = Tokenizer::from_dir(folder.path()).unwrap_err();
        assert!(matches!(&error, TokenizerError::Config(ConfigError::Json { .. })));
    }
}
