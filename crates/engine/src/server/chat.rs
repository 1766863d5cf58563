//! `POST /v1/chat/completions`.

use axum::Json;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use llmd_api::kv_transfer::KvTransferParams;
use llmd_api::openai::chat::{
    ChatChoice, ChatChunk, ChatChunkChoice, ChatCompletion, ChatCompletionRequest, ChatDelta, ChatMessage,
};
use llmd_api::openai::request::parse;
use llmd_api::openai::sampling::{SamplingFields, UnsupportedFields};
use llmd_api::openai::usage::Usage;
use serde_json::Value;

use super::error::ApiError;
use super::generate::{Choice, Dialect, Head, Prepared, starts};
use super::prompt::Conversation;
use super::sse;
use super::state::Serving;
use super::submit::Piece;
use super::tokens::TokenNames;
use super::validate::{Asked, Generation, param};
use crate::text::{Delta, Ending};

/// Checks a request and makes its prompt.
///
/// # Errors
/// Every way in which a body can be no legal request.
pub fn prepare(
    serving: &Serving,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Prepared<ChatDialect>, ApiError> {
    let request: ChatCompletionRequest = parse(body)?;
    let fields: SamplingFields = parse(body)?;
    parse::<UnsupportedFields>(body)?.first_set().map_or(Ok(()), |name| Err(ApiError::unsupported(name)))?;
    serving.models.check(fields.model.as_deref())?;
    let asked = asked(&request, &fields)?;
    let generation =
        Generation::check(&fields, asked, &serving.rules, &serving.prompter.tokenizer)?.prioritised(headers);
    let conversation = Conversation::of_request(&request)?;
    let text = serving.prompter.render(&conversation)?;
    let add_special_tokens = request.add_special_tokens.unwrap_or(false);
    let prompt = serving.prompter.tokenize(&text, add_special_tokens, generation.truncate)?;

    let head = Head::new("chatcmpl", headers, fields.request_id.as_deref(), serving.models.first());
    let role = role(&conversation);
    let dialect = ChatDialect {
        prefix: echoed(&request, &role),
        role,
        names: TokenNames { tokenizer: serving.prompter.tokenizer.clone(), as_ids: generation.tokens_as_ids },
        is_open: vec![false; generation.n as usize],
        prompt: generation.return_token_ids.then(|| prompt.clone()),
        head,
    };
    let prompts = [prompt];
    Ok(Prepared {
        starts: starts(&generation, serving, &dialect.head.id, &prompts)?,
        tally: serving.tally(&prompts, generation.n),
        stream: generation.stream.map(|it| serving.stream_options(it)),
        dialect,
    })
}

fn asked(request: &ChatCompletionRequest, fields: &SamplingFields) -> Result<Asked, ApiError> {
    let wants_logprobs = request.logprobs.unwrap_or(false);
    if request.top_logprobs.is_some_and(|it| it != 0) && !wants_logprobs {
        return Err(param("top_logprobs", "needs logprobs to be true"));
    }
    let (max_tokens, max_tokens_param) = match request.max_completion_tokens {
        Some(limit) => (Some(limit), "max_completion_tokens"),
        None => (fields.max_tokens, "max_tokens"),
    };
    Ok(Asked {
        max_tokens,
        max_tokens_param,
        logprobs: wants_logprobs.then(|| request.top_logprobs.unwrap_or(0)),
        logprobs_param: "top_logprobs",
        prompt_logprobs: fields.prompt_logprobs,
    })
}

/// Who speaks: the assistant, unless the last message is continued without a new turn.
fn role(conversation: &Conversation<'_>) -> String {
    let last = conversation.messages.last().and_then(|it| it.get("role")?.as_str());
    match last {
        Some(role) if !conversation.add_generation_prompt => role.to_owned(),
        _ => "assistant".to_owned(),
    }
}

/// Text in front of the answer: with `echo`, the last message when it has the answer's role.
fn echoed(request: &ChatCompletionRequest, role: &str) -> String {
    let last = request.messages.last().filter(|_| request.echo.unwrap_or(false));
    let same_role = last.filter(|it| it.get("role").and_then(Value::as_str) == Some(role));
    let text = same_role.and_then(|it| it.get("content")?.as_str());
    text.unwrap_or_default().to_owned()
}

/// Writes chat completions.
#[derive(Debug)]
pub struct ChatDialect {
    head: Head,
    role: String,
    prefix: String,
    names: TokenNames,
    /// Whether the first chunk of each choice is out.
    is_open: Vec<bool>,
    /// With `return_token_ids`.
    prompt: Option<Vec<u32>>,
}

impl ChatDialect {
    fn chunk(&self, choices: Vec<ChatChunkChoice>, usage: Option<Usage>) -> ChatChunk {
        let Head { id, created, model } = self.head.clone();
        ChatChunk {
            id,
            object: "chat.completion.chunk",
            created,
            model,
            choices,
            usage,
            prompt_token_ids: None,
            kv_transfer_params: None,
        }
    }

    /// The chunk that says who speaks.
    fn opening(&self, index: u32, usage: Option<Usage>) -> ChatChunk {
        let delta = ChatDelta { role: Some(self.role.clone()), content: Some(self.prefix.clone()) };
        let choice = ChatChunkChoice { index, delta, ..ChatChunkChoice::default() };
        ChatChunk { prompt_token_ids: self.prompt.clone(), ..self.chunk(vec![choice], usage) }
    }

    fn token_ids(&self, delta: &Delta) -> Option<Vec<u32>> {
        self.prompt.is_some().then(|| delta.tokens.iter().map(|it| it.token).collect())
    }

    fn choice(&self, index: u32, choice: Choice) -> ChatChoice {
        let token_ids = self.token_ids(&choice.delta);
        let logprobs = self.names.chat(&choice.delta.tokens);
        let Delta { text, tokens: _, ending } = choice.delta;
        ChatChoice {
            index,
            message: ChatMessage::text(self.role.clone(), format!("{}{text}", self.prefix)),
            logprobs,
            finish_reason: ending.as_ref().map(|it| it.reason.as_str()),
            stop_reason: ending.and_then(|it| it.stop_reason),
            token_ids,
        }
    }
}

impl Dialect for ChatDialect {
    fn events(&mut self, piece: Piece, usage: Option<Usage>) -> Vec<Bytes> {
        let Piece { index, delta, .. } = piece;
        let mut events = Vec::with_capacity(3);
        if !std::mem::replace(&mut self.is_open[index as usize], true) {
            events.push(sse::event(&self.opening(index, usage)));
        }
        let (logprobs, token_ids) = (self.names.chat(&delta.tokens), self.token_ids(&delta));
        let Delta { text, tokens: _, ending } = delta;
        let content = (!text.is_empty()).then_some(text);
        let mut choice = ChatChunkChoice {
            index,
            delta: ChatDelta { role: None, content },
            logprobs,
            token_ids,
            ..ChatChunkChoice::default()
        };
        let mut kv_transfer_params: Option<KvTransferParams> = None;
        if let Some(Ending { reason, stop_reason, kv_transfer }) = ending {
            choice.finish_reason = Some(reason.as_str());
            choice.stop_reason = Some(stop_reason);
            kv_transfer_params = kv_transfer;
        }
        events.push(sse::event(&ChatChunk { kv_transfer_params, ..self.chunk(vec![choice], usage) }));
        events
    }

    fn usage_event(&self, usage: Usage) -> Bytes {
        sse::event(&self.chunk(Vec::new(), Some(usage)))
    }

    fn whole(&mut self, mut choices: Vec<Choice>, usage: Usage) -> Response {
        let Head { id, created, model } = self.head.clone();
        let kv_transfer_params = choices.iter_mut().find_map(Choice::take_kv_transfer);
        let prompt_logprobs = choices.first_mut().and_then(|it| it.prompt_logprobs.take());
        Json(ChatCompletion {
            id,
            object: "chat.completion",
            created,
            model,
            choices: (0..).zip(choices).map(|(index, choice)| self.choice(index, choice)).collect(),
            service_tier: (),
            system_fingerprint: (),
            usage,
            prompt_logprobs: prompt_logprobs.map(|it| self.names.prompt(&it)),
            prompt_token_ids: self.prompt.take(),
            kv_transfer_params,
        })
        .into_response()
    }
}
