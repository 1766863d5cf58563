//! From messages or prompts to token ids. CPU work without I/O; callers move large inputs off the event loop.

use llmd_api::openai::chat::ChatCompletionRequest;
use llmd_api::openai::completion::Prompt;
use llmd_common::report::Report;
use llmd_tokenizer::{ChatTemplate, ChatTemplateError, RenderInput, Tokenizer};
use serde_json::{Map, Value};

use super::error::ApiError;
use super::validate::{Truncate, param};

/// Content parts a text model can read.
const TEXT_PARTS: [&str; 5] = ["text", "input_text", "output_text", "refusal", "thinking"];

/// Text and template of the served model.
#[derive(Debug, Clone)]
pub struct Prompter {
    /// Text to tokens.
    pub tokenizer: Tokenizer,
    /// Absent for base models.
    pub template: Option<ChatTemplate>,
    /// Context length in tokens.
    pub max_model_len: u32,
    /// Rows of the model's embedding.
    vocab_size: u32,
    /// Bytes of the longest token: a longer text than this times the context cannot fit.
    longest_token: usize,
}

/// What the template is given.
#[derive(Debug, Clone, Copy)]
pub struct Conversation<'a> {
    /// In the order spoken.
    pub messages: &'a [Value],
    /// Functions the model may call.
    pub tools: &'a [Value],
    /// Sources to answer from.
    pub documents: &'a [Value],
    /// Whether the prompt ends with the opening of an assistant message.
    pub add_generation_prompt: bool,
    /// Whether the last message is left open.
    pub continue_final_message: bool,
    /// Further variables.
    pub kwargs: Option<&'a Map<String, Value>>,
}

impl<'a> Conversation<'a> {
    /// The conversation of a chat request. `tool_choice: none` hides the tools from the model.
    ///
    /// # Errors
    /// When the request forces a tool call, which needs constrained decoding.
    pub fn of_request(request: &'a ChatCompletionRequest) -> Result<Self, ApiError> {
        let offered = request.tools.as_deref();
        if offered.is_some_and(<[Value]>::is_empty) {
            return Err(param("tools", "must not be empty; leave it out instead"));
        }
        let tools = match (request.tool_choice.as_ref(), offered) {
            (Some(Value::String(choice)), _) if choice == "none" => &[],
            (Some(_), None) => return Err(param("tool_choice", "needs tools")),
            (None, tools) => tools.unwrap_or(&[]),
            (Some(Value::String(choice)), Some(tools)) if choice == "auto" => tools,
            (Some(_), Some(_)) => {
                return Err(ApiError::Unsupported {
                    param: "tool_choice",
                    what: "forcing a tool call; use tool_choice auto or none".to_owned(),
                });
            }
        };
        Ok(Self {
            messages: &request.messages,
            tools,
            documents: request.documents.as_deref().unwrap_or(&[]),
            add_generation_prompt: request.add_generation_prompt.unwrap_or(true),
            continue_final_message: request.continue_final_message.unwrap_or(false),
            kwargs: request.chat_template_kwargs.as_ref(),
        })
    }
}

impl Prompter {
    /// A prompter for a loaded model.
    #[must_use]
    pub fn new(
        tokenizer: Tokenizer,
        template: Option<ChatTemplate>,
        max_model_len: u32,
        vocab_size: u32,
    ) -> Self {
        let ids = 0..u32::try_from(tokenizer.vocab_size()).unwrap_or(u32::MAX);
        let longest_token =
            ids.filter_map(|id| tokenizer.id_to_token(id)).map(|it| it.len()).max().unwrap_or(1);
        Self { tokenizer, template, max_model_len, vocab_size, longest_token }
    }

    /// The text a conversation becomes.
    ///
    /// # Errors
    /// When the model has no template, the template refuses, or a part is not text.
    pub fn render(&self, conversation: &Conversation<'_>) -> Result<String, ApiError> {
        let Conversation {
            messages,
            tools,
            documents,
            add_generation_prompt,
            continue_final_message,
            kwargs,
        } = *conversation;
        let Some(template) = &self.template else {
            return Err(param(
                "messages",
                "need a chat template, which this model does not have; use /v1/completions or start the server \
                 with --chat-template",
            ));
        };
        if messages.is_empty() {
            return Err(param("messages", "must not be empty"));
        }
        only_text(messages)?;
        let input =
            RenderInput { messages, tools, documents, add_generation_prompt, continue_final_message, kwargs };
        template.render(&input).map_err(|error| {
            let param = match error {
                ChatTemplateError::Continuation(_) => "continue_final_message",
                _ => "messages",
            };
            ApiError::Param { param, message: Report(&error).to_string() }
        })
    }

    /// Token ids of a text, cut as the request asks.
    ///
    /// # Errors
    /// When the text is empty, cannot be tokenised, or is certain not to fit the context.
    pub fn tokenize(
        &self,
        text: &str,
        add_special_tokens: bool,
        truncate: Option<Truncate>,
    ) -> Result<Vec<u32>, ApiError> {
        let at_least = text.len() / self.longest_token;
        if truncate.is_none() && at_least > self.max_model_len as usize {
            let tokens = format!("at least {at_least}");
            return Err(ApiError::PromptTooLong { tokens, limit: self.max_model_len });
        }
        let ids = self.encode(text, add_special_tokens)?;
        self.checked(ids, truncate)
    }

    /// Token ids of a text of any length.
    ///
    /// # Errors
    /// When the tokenizer refuses the text.
    pub fn encode(&self, text: &str, add_special_tokens: bool) -> Result<Vec<u32>, ApiError> {
        self.tokenizer
            .encode(text, add_special_tokens)
            .map_err(|error| ApiError::Param { param: "prompt", message: Report(&error).to_string() })
    }

    /// Token ids given by the client, cut as the request asks.
    ///
    /// # Errors
    /// When there are none or one is unknown.
    pub fn checked(&self, mut ids: Vec<u32>, truncate: Option<Truncate>) -> Result<Vec<u32>, ApiError> {
        if let Some(Truncate { keep, keep_start }) = truncate {
            if keep_start {
                ids.truncate(keep);
            } else {
                ids.drain(..ids.len().saturating_sub(keep));
            }
        }
        if ids.is_empty() {
            return Err(param("prompt", "must not be empty"));
        }
        if let Some(id) = ids.iter().find(|it| **it >= self.vocab_size) {
            let limit = self.vocab_size;
            return Err(param("prompt", format!("has {id}, which is not a token id below {limit}")));
        }
        Ok(ids)
    }

    /// Text of `ids`, special tokens left out or not.
    ///
    /// # Errors
    /// When the tokenizer refuses the ids.
    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String, ApiError> {
        self.tokenizer
            .decode(ids, skip_special_tokens)
            .map_err(|error| ApiError::Param { param: "tokens", message: Report(&error).to_string() })
    }
}

/// The prompts of a completion request, each by itself.
#[must_use]
pub fn split(prompt: Prompt) -> Vec<OnePrompt> {
    match prompt {
        Prompt::Text(text) => vec![OnePrompt::Text(text)],
        Prompt::Texts(texts) => texts.into_iter().map(OnePrompt::Text).collect(),
        Prompt::Tokens(ids) => vec![OnePrompt::Tokens(ids)],
        Prompt::TokenLists(lists) => lists.into_iter().map(OnePrompt::Tokens).collect(),
    }
}

/// One prompt of a completion request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnePrompt {
    /// To be tokenised.
    Text(String),
    /// Ready.
    Tokens(Vec<u32>),
}

fn only_text(messages: &[Value]) -> Result<(), ApiError> {
    let parts = messages.iter().filter_map(|it| it.get("content")?.as_array()).flatten();
    let kinds = parts.filter_map(|it| it.get("type")?.as_str());
    match kinds.into_iter().find(|it| !TEXT_PARTS.contains(it)) {
        None => Ok(()),
        Some(kind) => Err(ApiError::Unsupported {
            param: "messages",
            what: format!("content parts of type {kind:?}; this model reads text"),
        }),
    }
}
