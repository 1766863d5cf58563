//! Token counts of a request.

use serde::{Deserialize, Serialize};

/// `usage` of responses and chunks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of all prompts, each counted once however many choices it has.
    pub prompt_tokens: u32,
    /// Sum of the other two counts.
    pub total_tokens: u32,
    /// Generated tokens of all choices, stop tokens included.
    pub completion_tokens: u32,
    /// Only with `--enable-prompt-tokens-details`.
    pub prompt_tokens_details: Option<PromptTokensDetails>,
    /// Only with a reasoning parser.
    pub completion_tokens_details: Option<CompletionTokensDetails>,
}

/// Where the prompt's KV came from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptTokensDetails {
    /// Prompt tokens that were not computed for this request.
    pub cached_tokens: Option<u32>,
}

/// What the generated tokens are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompletionTokensDetails {
    /// Tokens of the reasoning part.
    pub reasoning_tokens: Option<u32>,
}
