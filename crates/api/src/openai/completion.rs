//! `POST /v1/completions`.

use serde::{Deserialize, Serialize};

use super::Unfilled;
use super::chat::StopReason;
use super::logprobs::{CompletionLogprobs, PromptLogprobs};
use super::usage::Usage;
use crate::kv_transfer::KvTransferParams;

/// What a completion request has beyond [`super::sampling::SamplingFields`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CompletionRequest {
    /// One or several prompts.
    pub prompt: Prompt,
    /// Whether the prompt stands in front of the answer.
    #[serde(default)]
    pub echo: Option<bool>,
    /// Log-probabilities of the answer with this many alternatives.
    #[serde(default)]
    pub logprobs: Option<i64>,
    /// Whether the tokenizer adds special tokens to a text prompt.
    #[serde(default)]
    pub add_special_tokens: Option<bool>,
}

/// The forms of `prompt`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a string, a list of strings, a list of token ids or a list of lists of token ids"
)]
pub enum Prompt {
    /// One text.
    Text(String),
    /// Several texts.
    Texts(Vec<String>),
    /// One prompt of token ids.
    Tokens(Vec<u32>),
    /// Several prompts of token ids.
    TokenLists(Vec<Vec<u32>>),
}

/// A complete answer. Every field is written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Completion {
    /// `cmpl-…`
    pub id: String,
    /// Always `text_completion`.
    pub object: &'static str,
    /// Unix seconds.
    pub created: u64,
    /// Served name.
    pub model: String,
    /// In index order: the choices of the first prompt, then of the second.
    pub choices: Vec<CompletionChoice>,
    /// OpenAI account feature.
    pub service_tier: Unfilled,
    /// OpenAI build marker.
    pub system_fingerprint: Unfilled,
    /// Token counts.
    pub usage: Usage,
    /// Where the decode engine finds the first prompt's KV blocks.
    pub kv_transfer_params: Option<KvTransferParams>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CompletionChoice {
    /// Prompt number times `n` plus number of the choice.
    pub index: u32,
    /// The text, behind the prompt with `echo`.
    pub text: String,
    /// With `logprobs`.
    pub logprobs: Option<CompletionLogprobs>,
    /// Why it ended.
    pub finish_reason: Option<&'static str>,
    /// Stop string or stop token.
    pub stop_reason: Option<StopReason>,
    /// With `return_token_ids`.
    pub token_ids: Option<Vec<u32>>,
    /// With `prompt_logprobs`.
    pub prompt_logprobs: Option<PromptLogprobs>,
    /// With `return_token_ids`.
    pub prompt_token_ids: Option<Vec<u32>>,
}

/// One event of a stream. Unset fields are left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CompletionChunk {
    /// `cmpl-…`
    pub id: String,
    /// Always `text_completion`.
    pub object: &'static str,
    /// Unix seconds.
    pub created: u64,
    /// Served name.
    pub model: String,
    /// One choice, or none in the chunk that carries the usage.
    pub choices: Vec<CompletionChunkChoice>,
    /// At the end with `include_usage`, everywhere with `continuous_usage_stats`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// In the last chunk of a choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kv_transfer_params: Option<KvTransferParams>,
}

/// News of one choice.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct CompletionChunkChoice {
    /// As in [`CompletionChoice::index`].
    pub index: u32,
    /// Text to append.
    pub text: String,
    /// Of the added tokens.
    pub logprobs: Option<CompletionLogprobs>,
    /// `None` except in the last chunk of the choice.
    pub finish_reason: Option<&'static str>,
    /// Stop string or stop token, in the last chunk.
    pub stop_reason: Option<StopReason>,
    /// With `return_token_ids`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_ids: Option<Vec<u32>>,
    /// In the first chunk with `return_token_ids`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_token_ids: Option<Vec<u32>>,
}
