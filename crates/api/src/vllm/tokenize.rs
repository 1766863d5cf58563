//! `POST /tokenize` and `POST /detokenize`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Text or a conversation to turn into tokens: exactly one of `prompt` and `messages`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct TokenizeRequest {
    /// Served name; absent or empty means the base model.
    pub model: Option<String>,
    /// A text.
    pub prompt: Option<String>,
    /// A conversation, rendered with the model's template.
    pub messages: Option<Vec<Value>>,
    /// Whether the tokenizer adds special tokens: by default for a text, not for a conversation.
    pub add_special_tokens: Option<bool>,
    /// Whether tokens come as strings too.
    pub return_token_strs: Option<bool>,
    /// Whether the prompt ends with the opening of an assistant message.
    pub add_generation_prompt: Option<bool>,
    /// Whether the last message is left open for the model to continue.
    pub continue_final_message: Option<bool>,
    /// Functions for the template.
    pub tools: Option<Vec<Value>>,
    /// Further variables of the template.
    pub chat_template_kwargs: Option<Map<String, Value>>,
}

/// The tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenizeResponse {
    /// How many.
    pub count: usize,
    /// Context length of the model.
    pub max_model_len: u32,
    /// Vocabulary indices.
    pub tokens: Vec<u32>,
    /// With `return_token_strs`.
    pub token_strs: Option<Vec<String>>,
}

/// Tokens to turn into text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct DetokenizeRequest {
    /// Served name; absent or empty means the base model.
    #[serde(default)]
    pub model: Option<String>,
    /// Vocabulary indices.
    pub tokens: Vec<u32>,
}

/// The text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetokenizeResponse {
    /// Special tokens included.
    pub prompt: String,
}
