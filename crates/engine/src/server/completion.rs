//! `POST /v1/completions`.

use axum::Json;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use llmd_api::openai::completion::{
    Completion, CompletionChoice, CompletionChunk, CompletionChunkChoice, CompletionRequest,
};
use llmd_api::openai::logprobs::CompletionLogprobs;
use llmd_api::openai::request::parse;
use llmd_api::openai::sampling::{SamplingFields, UnsupportedFields};
use llmd_api::openai::usage::Usage;

use super::error::ApiError;
use super::generate::{Choice, Dialect, Head, Prepared, starts};
use super::prompt::{OnePrompt, Prompter, split};
use super::sse;
use super::state::Serving;
use super::submit::Piece;
use super::tokens::TokenNames;
use super::validate::{Asked, Generation, Truncate, param};
use crate::output::{FinishReason, PositionLogprobs};
use crate::text::{Delta, Ending};

/// Tokens of an answer when the request names no limit: OpenAI's default.
const DEFAULT_MAX_TOKENS: i64 = 16;

/// Checks a request and makes its prompts.
///
/// # Errors
/// Every way in which a body can be no legal request.
pub fn prepare(
    serving: &Serving,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Prepared<CompletionDialect>, ApiError> {
    let fields: SamplingFields = parse(body)?;
    parse::<UnsupportedFields>(body)?.first_set().map_or(Ok(()), |name| Err(ApiError::unsupported(name)))?;
    let request: CompletionRequest = parse(body)?;
    serving.models.check(fields.model.as_deref())?;
    let echo = request.echo.unwrap_or(false);
    let prompt_only = echo && fields.max_tokens == Some(0);
    let asked = Asked {
        // The engine always samples one token; an answer of none drops it.
        max_tokens: Some(if prompt_only { 1 } else { fields.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS) }),
        max_tokens_param: "max_tokens",
        logprobs: request.logprobs,
        logprobs_param: "logprobs",
        prompt_logprobs: fields.prompt_logprobs.or(if echo { request.logprobs } else { None }),
    };
    let generation =
        Generation::check(&fields, asked, &serving.rules, &serving.prompter.tokenizer)?.prioritised(headers);
    let sources = split(request.prompt);
    if sources.is_empty() {
        return Err(param("prompt", "must not be empty"));
    }
    if sources.len() > serving.rules.max_prompts {
        return Err(param("prompt", format!("must have at most {} prompts", serving.rules.max_prompts)));
    }
    let add_special_tokens = request.add_special_tokens.unwrap_or(true);
    let prompts = sources
        .iter()
        .map(|it| tokens(&serving.prompter, it, add_special_tokens, generation.truncate))
        .collect::<Result<Vec<_>, _>>()?;
    let echoed = if echo { echoes(&serving.prompter, sources, &prompts)? } else { Vec::new() };

    let head = Head::new("cmpl", headers, fields.request_id.as_deref(), serving.models.first());
    let n_choices = prompts.len() * generation.n as usize;
    let dialect = CompletionDialect {
        names: TokenNames { tokenizer: serving.prompter.tokenizer.clone(), as_ids: generation.tokens_as_ids },
        n: generation.n as usize,
        echoed,
        echoes_logprobs: echo && request.logprobs.is_some(),
        prompt_only,
        prompts: prompts.clone(),
        return_token_ids: generation.return_token_ids,
        written: vec![Written::default(); n_choices],
        head,
    };
    let tally = serving.tally(&prompts, generation.n);
    Ok(Prepared {
        starts: starts(&generation, serving, &dialect.head.id, &prompts)?,
        tally: if prompt_only { tally.without_answers() } else { tally },
        stream: generation.stream.map(|it| serving.stream_options(it)),
        dialect,
    })
}

fn tokens(
    prompter: &Prompter,
    source: &OnePrompt,
    add_special_tokens: bool,
    truncate: Option<Truncate>,
) -> Result<Vec<u32>, ApiError> {
    match source {
        OnePrompt::Text(text) => prompter.tokenize(text, add_special_tokens, truncate),
        OnePrompt::Tokens(ids) => prompter.checked(ids.clone(), truncate),
    }
}

/// Text of each prompt: as it came, or decoded.
fn echoes(
    prompter: &Prompter,
    sources: Vec<OnePrompt>,
    prompts: &[Vec<u32>],
) -> Result<Vec<String>, ApiError> {
    let text = |(source, ids): (OnePrompt, &Vec<u32>)| match source {
        OnePrompt::Text(text) => Ok(text),
        OnePrompt::Tokens(_) => prompter.decode(ids, false),
    };
    sources.into_iter().zip(prompts).map(text).collect()
}

/// Writes text completions.
#[derive(Debug)]
pub struct CompletionDialect {
    head: Head,
    names: TokenNames,
    /// Choices a prompt.
    n: usize,
    /// Text in front of the answers, one a prompt; empty without `echo`.
    echoed: Vec<String>,
    /// Whether the echoed tokens' log-probabilities are wanted.
    echoes_logprobs: bool,
    /// `echo` with `max_tokens: 0`.
    prompt_only: bool,
    prompts: Vec<Vec<u32>>,
    return_token_ids: bool,
    /// What each choice wrote so far.
    written: Vec<Written>,
}

#[derive(Debug, Clone, Default)]
struct Written {
    /// Whether the echo is out.
    is_open: bool,
    /// Characters covered by log-probabilities.
    offset: usize,
}

/// The parts of a choice that a delta becomes.
struct Part {
    text: String,
    logprobs: Option<CompletionLogprobs>,
    token_ids: Option<Vec<u32>>,
    ending: Option<Ending>,
    is_first: bool,
}

impl CompletionDialect {
    fn part(&mut self, index: u32, mut delta: Delta, prompt_logprobs: Option<&[PositionLogprobs]>) -> Part {
        let (prompt, written) = (index as usize / self.n, &mut self.written[index as usize]);
        if self.prompt_only {
            delta = Delta { ending: delta.ending.map(of_no_tokens), ..Delta::default() };
        }
        let is_first = !std::mem::replace(&mut written.is_open, true);
        let mut logprobs = None;
        if is_first && let Some(echoed) = self.echoed.get(prompt) {
            delta.text.insert_str(0, echoed);
            written.offset = echoed.chars().count();
            if self.echoes_logprobs {
                let (lists, offset) =
                    self.names.echoed(&self.prompts[prompt], prompt_logprobs.unwrap_or(&[]));
                (logprobs, written.offset) = (Some(lists), offset);
            }
        }
        let (of_answer, offset) = self.names.completion(&delta.tokens, written.offset);
        written.offset = offset;
        if let (Some(lists), Some(more)) = (&mut logprobs, &of_answer) {
            lists.extend(more.clone());
        }
        let token_ids = self.return_token_ids.then(|| delta.tokens.iter().map(|it| it.token).collect());
        Part { text: delta.text, logprobs: logprobs.or(of_answer), token_ids, ending: delta.ending, is_first }
    }

    fn prompt_token_ids(&self, index: u32) -> Option<Vec<u32>> {
        self.return_token_ids.then(|| self.prompts[index as usize / self.n].clone())
    }

    fn choice(&mut self, index: u32, choice: Choice) -> CompletionChoice {
        let Choice { delta, prompt_logprobs } = choice;
        let part = self.part(index, delta, prompt_logprobs.as_deref());
        let Part { text, logprobs, token_ids, ending, is_first: _ } = part;
        CompletionChoice {
            index,
            text,
            logprobs,
            finish_reason: ending.as_ref().map(|it| it.reason.as_str()),
            stop_reason: ending.and_then(|it| it.stop_reason),
            token_ids,
            prompt_logprobs: prompt_logprobs.map(|it| self.names.prompt(&it)),
            prompt_token_ids: self.prompt_token_ids(index),
        }
    }

    fn chunk(&self, choices: Vec<CompletionChunkChoice>, usage: Option<Usage>) -> CompletionChunk {
        let Head { id, created, model } = self.head.clone();
        CompletionChunk {
            id,
            object: "text_completion",
            created,
            model,
            choices,
            usage,
            kv_transfer_params: None,
        }
    }
}

/// The ending of an answer that was to have no tokens: the one that was sampled does not say how it ended.
fn of_no_tokens(ending: Ending) -> Ending {
    match ending.reason {
        FinishReason::Stop => Ending { reason: FinishReason::Length, stop_reason: None, ..ending },
        FinishReason::Length | FinishReason::Abort | FinishReason::Error => ending,
    }
}

impl Dialect for CompletionDialect {
    fn events(&mut self, piece: Piece, usage: Option<Usage>) -> Vec<Bytes> {
        let Piece { index, delta, prompt_logprobs, .. } = piece;
        let part = self.part(index, delta, prompt_logprobs.as_deref());
        let Part { text, logprobs, token_ids, ending, is_first } = part;
        let (finish_reason, stop_reason, kv_transfer_params) = match ending {
            Some(Ending { reason, stop_reason, kv_transfer }) => {
                (Some(reason.as_str()), stop_reason, kv_transfer)
            }
            None => (None, None, None),
        };
        let choice = CompletionChunkChoice {
            index,
            text,
            logprobs,
            finish_reason,
            stop_reason,
            token_ids,
            prompt_token_ids: if is_first { self.prompt_token_ids(index) } else { None },
        };
        vec![sse::event(&CompletionChunk { kv_transfer_params, ..self.chunk(vec![choice], usage) })]
    }

    fn usage_event(&self, usage: Usage) -> Bytes {
        sse::event(&self.chunk(Vec::new(), Some(usage)))
    }

    fn whole(&mut self, mut choices: Vec<Choice>, usage: Usage) -> Response {
        let Head { id, created, model } = self.head.clone();
        let kv_transfer_params = choices.iter_mut().find_map(Choice::take_kv_transfer);
        Json(Completion {
            id,
            object: "text_completion",
            created,
            model,
            choices: (0..).zip(choices).map(|(index, choice)| self.choice(index, choice)).collect(),
            service_tier: (),
            system_fingerprint: (),
            usage,
            kv_transfer_params,
        })
        .into_response()
    }
}
