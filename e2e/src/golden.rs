//! The demo model's golden answers.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::Value;

/// A lead below this may be lost in bfloat16 arithmetic or a bfloat16 cache.
const SAFE_MARGIN: f64 = 0.25;

/// One chat with the answer that greedy decoding gives.
#[derive(Debug, Clone, Deserialize)]
pub struct Case {
    /// OpenAI messages.
    pub messages: Value,
    /// Token ids of the rendered prompt.
    pub prompt_token_ids: Vec<u32>,
    /// The answer.
    pub text: String,
    /// Smallest lead of the best logit over the second on the way.
    pub least_margin: f64,
}

#[derive(Debug, Deserialize)]
struct File {
    chat: Vec<Case>,
}

/// Folder of the demo model.
#[must_use]
pub fn model_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/models/llmd-tiny")
}

/// The cases whose text is the same in any precision.
///
/// # Errors
/// When the golden file cannot be read.
pub fn cases() -> Result<Vec<Case>> {
    let path = model_dir().join("golden.json");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let file: File = serde_json::from_str(&text)?;
    Ok(file.chat.into_iter().filter(|it| it.least_margin >= SAFE_MARGIN).collect())
}

/// The case that asks `question` in a single turn.
///
/// # Errors
/// When there is no such case.
pub fn case(question: &str) -> Result<Case> {
    let asks = |it: &Case| {
        it.messages.as_array().is_some_and(|all| all.len() == 1) && it.messages[0]["content"] == question
    };
    cases()?.into_iter().find(asks).with_context(|| format!("no golden case asks {question:?}"))
}
