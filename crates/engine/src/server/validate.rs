//! From sampling fields to checked parameters: every range and every rule between fields, in one pass without I/O.
//!
//! Precedence: request, then the model's `generation_config.json`, then OpenAI's default.

mod sampling;

use std::collections::HashSet;
use std::sync::Arc;

use axum::http::HeaderMap;
use llmd_api::kv_transfer::KvTransferParams;
use llmd_api::openai::sampling::SamplingFields;
use llmd_tokenizer::Tokenizer;

use super::error::ApiError;
use crate::model::GenerationConfig;
use crate::sampling::SamplingParams;
use crate::text::TextSettings;

/// Overrides the body's priority. Owner: vLLM.
const PRIORITY_HEADER: &str = "x-vllm-priority";
/// Longest cache salt in characters.
const MAX_CACHE_SALT: usize = 128;

/// What the model and the flags allow.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Context length in tokens.
    pub max_model_len: u32,
    /// Tokens the model knows.
    pub vocab_size: u32,
    /// Alternatives a request may ask for; `None` is the whole vocabulary.
    pub max_logprobs: Option<u32>,
    /// Stop strings a request may have.
    pub max_stop_strings: usize,
    /// Choices a request may ask for.
    pub max_n: u32,
    /// Sequences a request may start: no queue has room for more.
    pub max_sequences: usize,
    /// Prompts a completion request may have.
    pub max_prompts: usize,
    /// The model's own end-of-sequence tokens.
    pub eos_token_ids: Vec<u32>,
    /// From `generation_config.json`.
    pub defaults: GenerationConfig,
}

/// What the endpoint read under names of its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked {
    /// Tokens to generate at most; `None` fills the context.
    pub max_tokens: Option<i64>,
    /// The field `max_tokens` came from.
    pub max_tokens_param: &'static str,
    /// Alternatives a generated token; `None` reports no log-probabilities.
    pub logprobs: Option<i64>,
    /// The field `logprobs` came from.
    pub logprobs_param: &'static str,
    /// Alternatives a prompt token.
    pub prompt_logprobs: Option<i64>,
}

/// A request whose every value is legal.
#[derive(Debug, Clone)]
pub struct Generation {
    /// Choices for each prompt, at least 1.
    pub n: u32,
    /// Text and stop strings.
    pub text: TextSettings,
    /// `None` for one JSON answer.
    pub stream: Option<Stream>,
    /// How to shorten the prompt.
    pub truncate: Option<Truncate>,
    /// Lower runs earlier.
    pub priority: i32,
    /// Separates the prefix cache of tenants.
    pub cache_salt: Option<String>,
    /// Prefill/decode hand-over.
    pub kv_transfer: Option<KvTransferParams>,
    /// Whether token ids are reported.
    pub return_token_ids: bool,
    /// Whether log-probabilities name tokens by id.
    pub tokens_as_ids: bool,
    /// All but the number of tokens, which depends on the prompt, and the seed, which depends on the choice.
    sampling: SamplingParams,
    max_tokens: Option<u32>,
    max_model_len: u32,
}

/// What a stream reports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stream {
    /// One more chunk with the usage at the end.
    pub include_usage: bool,
    /// Usage in every chunk.
    pub continuous_usage: bool,
}

/// Keeps some of a prompt's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truncate {
    /// How many at most.
    pub keep: usize,
    /// Whether the first ones stay instead of the last.
    pub keep_start: bool,
}

impl Generation {
    /// Checks the fields of a request.
    ///
    /// # Errors
    /// [`ApiError::Param`] naming the first field that breaks a rule.
    pub fn check(
        fields: &SamplingFields,
        asked: Asked,
        rules: &Rules,
        tokenizer: &Tokenizer,
    ) -> Result<Self, ApiError> {
        let n = choices(fields, rules)?;
        let sampling = sampling::sampling(fields, asked, rules, tokenizer)?;
        if sampling.is_greedy() && n > 1 {
            return Err(param("n", "must be 1 when temperature is 0: all choices would be equal"));
        }
        let max_tokens = asked
            .max_tokens
            .map(|it| count(asked.max_tokens_param, it, 1))
            .transpose()?
            .into_iter()
            .chain(rules.defaults.max_new_tokens)
            .min();
        Ok(Self {
            n,
            text: text_settings(fields, rules, &sampling)?,
            stream: stream(fields)?,
            truncate: truncate(fields, rules)?,
            priority: fields
                .priority
                .map_or(Ok(0), |it| i32::try_from(it).map_err(|_| param("priority", "must fit 32 bits")))?,
            cache_salt: cache_salt(fields)?,
            kv_transfer: fields.kv_transfer_params.clone(),
            return_token_ids: fields.return_token_ids.unwrap_or(false),
            tokens_as_ids: fields.return_tokens_as_token_ids.unwrap_or(false),
            sampling,
            max_tokens,
            max_model_len: rules.max_model_len,
        })
    }

    /// With the priority that a header asks for, if one does.
    #[must_use]
    pub fn prioritised(mut self, headers: &HeaderMap) -> Self {
        let asked = headers.get(PRIORITY_HEADER).and_then(|it| it.to_str().ok()?.parse().ok());
        self.priority = asked.unwrap_or(self.priority);
        self
    }

    /// Parameters of choice number `choice` for a prompt of `prompt_len` tokens.
    ///
    /// # Errors
    /// When the prompt leaves no room for an answer, or less than `min_tokens`.
    pub fn sampling(&self, prompt_len: usize, choice: u32) -> Result<SamplingParams, ApiError> {
        let room = u32::try_from(prompt_len).ok().and_then(|it| self.max_model_len.checked_sub(it));
        let Some(room) = room.filter(|&it| it > 0) else {
            let limit = self.max_model_len;
            return Err(ApiError::PromptTooLong { tokens: prompt_len.to_string(), limit });
        };
        let max_tokens = self.max_tokens.unwrap_or(room).min(room);
        if self.sampling.min_tokens > max_tokens {
            return Err(param(
                "min_tokens",
                format!("must not be above max_tokens, which is {max_tokens} here"),
            ));
        }
        let mut sampling = self.sampling.clone();
        sampling.max_tokens = max_tokens;
        // Choices of a seeded request differ from each other and are the same every time.
        sampling.seed = sampling.seed.map(|it| it.wrapping_add(u64::from(choice)));
        Ok(sampling)
    }
}

fn choices(fields: &SamplingFields, rules: &Rules) -> Result<u32, ApiError> {
    let n = fields.n.map_or(Ok(1), |it| count("n", it, 1))?;
    if n > rules.max_n {
        return Err(param("n", format!("must be at most {}", rules.max_n)));
    }
    if fields.best_of.is_some_and(|it| it != i64::from(n)) {
        return Err(ApiError::Unsupported {
            param: "best_of",
            what: "best_of other than n; ask for n choices and pick one".to_owned(),
        });
    }
    Ok(n)
}

fn text_settings(
    fields: &SamplingFields,
    rules: &Rules,
    sampling: &SamplingParams,
) -> Result<TextSettings, ApiError> {
    let stop: Vec<String> = fields.stop.clone().map(Into::into).unwrap_or_default();
    if stop.len() > rules.max_stop_strings {
        return Err(param("stop", format!("must have at most {} strings", rules.max_stop_strings)));
    }
    if stop.iter().any(String::is_empty) {
        return Err(param("stop", "must not contain an empty string"));
    }
    let mut stop_tokens: HashSet<u32> = sampling.stop_token_ids.iter().copied().collect();
    if !sampling.ignore_eos {
        stop_tokens.extend(&rules.eos_token_ids);
    }
    Ok(TextSettings {
        stop: stop.into(),
        include_stop: fields.include_stop_str_in_output.unwrap_or(false),
        skip_special_tokens: fields.skip_special_tokens.unwrap_or(true),
        min_tokens: sampling.min_tokens,
        stop_tokens: Arc::new(stop_tokens),
    })
}

fn stream(fields: &SamplingFields) -> Result<Option<Stream>, ApiError> {
    if !fields.stream.unwrap_or(false) {
        return match fields.stream_options {
            Some(_) => Err(param("stream_options", "needs stream to be true")),
            None => Ok(None),
        };
    }
    if fields.prompt_logprobs.is_some_and(|it| it != 0) {
        return Err(param("prompt_logprobs", "cannot be streamed; set stream to false"));
    }
    let options = fields.stream_options.unwrap_or_default();
    Ok(Some(Stream {
        include_usage: options.include_usage.unwrap_or(false),
        continuous_usage: options.continuous_usage_stats.unwrap_or(false),
    }))
}

fn truncate(fields: &SamplingFields, rules: &Rules) -> Result<Option<Truncate>, ApiError> {
    let keep_start = match fields.truncation_side.as_deref() {
        None | Some("left") => false,
        Some("right") => true,
        Some(_) => return Err(param("truncation_side", "must be left or right")),
    };
    let limit = rules.max_model_len;
    let keep = match fields.truncate_prompt_tokens {
        None => return Ok(None),
        Some(-1) => limit.saturating_sub(1),
        Some(keep) => count("truncate_prompt_tokens", keep, 1)?,
    };
    if keep > limit {
        return Err(param("truncate_prompt_tokens", format!("must be at most {limit}, the context length")));
    }
    Ok(Some(Truncate { keep: keep as usize, keep_start }))
}

fn cache_salt(fields: &SamplingFields) -> Result<Option<String>, ApiError> {
    let Some(salt) = &fields.cache_salt else { return Ok(None) };
    let is_legal =
        !salt.is_empty() && salt.chars().count() <= MAX_CACHE_SALT && !salt.contains(['@', '/', '\\', '\0']);
    if !is_legal {
        let rule = format!("must have 1 to {MAX_CACHE_SALT} characters other than @, /, \\ and NUL");
        return Err(param("cache_salt", rule));
    }
    Ok(Some(salt.clone()))
}

fn count(name: &'static str, value: i64, least: u32) -> Result<u32, ApiError> {
    u32::try_from(value.min(i64::from(u32::MAX)))
        .ok()
        .filter(|&it| it >= least)
        .ok_or_else(|| param(name, format!("must be at least {least}, got {value}")))
}

/// A broken rule about `name`, said in a sentence that begins with the field.
pub fn param(name: &'static str, rule: impl AsRef<str>) -> ApiError {
    ApiError::Param { param: name, message: format!("{name} {}", rule.as_ref()) }
}

#[cfg(test)]
mod tests;
