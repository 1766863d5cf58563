//! `POST /v1/chat/completions`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Unfilled;
use super::logprobs::{ChatLogprobs, PromptLogprobs};
use super::usage::Usage;
use crate::kv_transfer::KvTransferParams;

/// What a chat request has beyond [`super::sampling::SamplingFields`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct ChatCompletionRequest {
    /// The conversation. Kept as JSON, because the model's template reads fields this type need not know.
    pub messages: Vec<Value>,
    /// Wins over `max_tokens`.
    #[serde(default)]
    pub max_completion_tokens: Option<i64>,
    /// Whether log-probabilities of the answer are reported.
    #[serde(default)]
    pub logprobs: Option<bool>,
    /// How many alternatives a token; -1 means the whole vocabulary.
    #[serde(default)]
    pub top_logprobs: Option<i64>,
    /// Functions the model may call; handed to the template.
    #[serde(default)]
    pub tools: Option<Vec<Value>>,
    /// `none`, `auto`, `required` or a named function.
    #[serde(default)]
    pub tool_choice: Option<Value>,
    /// Prepends the last message to the answer when it has the answer's role.
    #[serde(default)]
    pub echo: Option<bool>,
    /// Whether the prompt ends with the opening of an assistant message.
    #[serde(default)]
    pub add_generation_prompt: Option<bool>,
    /// Whether the last message is left open for the model to continue.
    #[serde(default)]
    pub continue_final_message: Option<bool>,
    /// Whether the tokenizer adds special tokens to the rendered text.
    #[serde(default)]
    pub add_special_tokens: Option<bool>,
    /// Handed to the template.
    #[serde(default)]
    pub documents: Option<Vec<Value>>,
    /// Further variables of the template.
    #[serde(default)]
    pub chat_template_kwargs: Option<Map<String, Value>>,
}

/// A complete answer. Every field is written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChatCompletion {
    /// `chatcmpl-…`
    pub id: String,
    /// Always `chat.completion`.
    pub object: &'static str,
    /// Unix seconds.
    pub created: u64,
    /// Served name.
    pub model: String,
    /// In index order.
    pub choices: Vec<ChatChoice>,
    /// OpenAI account feature.
    pub service_tier: Unfilled,
    /// OpenAI build marker.
    pub system_fingerprint: Unfilled,
    /// Token counts.
    pub usage: Usage,
    /// With `prompt_logprobs`.
    pub prompt_logprobs: Option<PromptLogprobs>,
    /// With `return_token_ids`.
    pub prompt_token_ids: Option<Vec<u32>>,
    /// Where the decode engine finds this prompt's KV blocks.
    pub kv_transfer_params: Option<KvTransferParams>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChatChoice {
    /// Number of the choice.
    pub index: u32,
    /// The assistant's message.
    pub message: ChatMessage,
    /// With `logprobs`.
    pub logprobs: Option<ChatLogprobs>,
    /// Why it ended.
    pub finish_reason: Option<&'static str>,
    /// Stop string or stop token.
    pub stop_reason: Option<StopReason>,
    /// With `return_token_ids`.
    pub token_ids: Option<Vec<u32>>,
}

/// A generated message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChatMessage {
    /// `assistant`, or the role of the message that was continued.
    pub role: String,
    /// The text.
    pub content: String,
    /// OpenAI safety feature.
    pub refusal: Unfilled,
    /// OpenAI search feature.
    pub annotations: Unfilled,
    /// OpenAI speech feature.
    pub audio: Unfilled,
    /// Replaced by tool calls upstream.
    pub function_call: Unfilled,
    /// Text of the model's reasoning; needs a reasoning parser.
    pub reasoning: Unfilled,
}

impl ChatMessage {
    /// A message of plain text.
    #[must_use]
    pub const fn text(role: String, content: String) -> Self {
        Self { role, content, refusal: (), annotations: (), audio: (), function_call: (), reasoning: () }
    }
}

/// What made the engine stop, other than the model's own end-of-sequence token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum StopReason {
    /// A stop token.
    Token(u32),
    /// A stop string.
    Text(String),
}

/// One event of a stream. Unset fields are left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChatChunk {
    /// `chatcmpl-…`
    pub id: String,
    /// Always `chat.completion.chunk`.
    pub object: &'static str,
    /// Unix seconds.
    pub created: u64,
    /// Served name.
    pub model: String,
    /// One choice, or none in the chunk that carries the usage.
    pub choices: Vec<ChatChunkChoice>,
    /// At the end with `include_usage`, everywhere with `continuous_usage_stats`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// In the first chunk with `return_token_ids`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_token_ids: Option<Vec<u32>>,
    /// In the last chunk of a choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kv_transfer_params: Option<KvTransferParams>,
}

/// News of one choice.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ChatChunkChoice {
    /// Number of the choice.
    pub index: u32,
    /// What was added.
    pub delta: ChatDelta,
    /// Of the added tokens.
    pub logprobs: Option<ChatLogprobs>,
    /// `None` except in the last chunk of the choice.
    pub finish_reason: Option<&'static str>,
    /// Only in the last chunk: `Some(None)` is written as `null`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<Option<StopReason>>,
    /// With `return_token_ids`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_ids: Option<Vec<u32>>,
}

/// The part of a message that a chunk adds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatDelta {
    /// In the first chunk of a choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Text to append.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}
