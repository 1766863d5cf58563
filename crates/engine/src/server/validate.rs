//! From sampling fields to checked parameters: every range and every rule between fields, in one pass without I/O.
//!
//! Precedence: request, then the model's `generation_config.json`, then OpenAI's default.

use std::collections::HashSet;
use std::sync::Arc;

use llmd_api::kv_transfer::KvTransferParams;
use llmd_api::openai::sampling::SamplingFields;
use llmd_tokenizer::Tokenizer;

use super::error::ApiError;
use crate::model::GenerationConfig;
use crate::sampling::SamplingParams;
use crate::text::TextSettings;

/// Below this a temperature means greedy decoding.
const GREEDY_BELOW: f64 = 1e-5;
/// Least temperature that is not greedy: dividing logits by less overflows.
const MIN_TEMPERATURE: f64 = 0.01;
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
        let sampling = sampling(fields, asked, rules, tokenizer)?;
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

fn sampling(
    fields: &SamplingFields,
    asked: Asked,
    rules: &Rules,
    tokenizer: &Tokenizer,
) -> Result<SamplingParams, ApiError> {
    let defaults = &rules.defaults;
    let temperature = ranged(
        "temperature",
        fields.temperature.or(defaults.temperature.map(f64::from)).unwrap_or(1.0),
        |it| (0.0..=2.0).contains(&it),
        "must be between 0 and 2",
    )?;
    let top_p = ranged(
        "top_p",
        fields.top_p.or(defaults.top_p.map(f64::from)).unwrap_or(1.0),
        |it| it > 0.0 && it <= 1.0,
        "must be above 0 and at most 1",
    )?;
    let min_p = ranged(
        "min_p",
        fields.min_p.or(defaults.min_p.map(f64::from)).unwrap_or(0.0),
        |it| (0.0..=1.0).contains(&it),
        "must be between 0 and 1",
    )?;
    let repetition_penalty = ranged(
        "repetition_penalty",
        fields.repetition_penalty.or(defaults.repetition_penalty.map(f64::from)).unwrap_or(1.0),
        |it| it > 0.0 && it.is_finite(),
        "must be above 0",
    )?;
    let penalty = |name, value: Option<f64>| {
        ranged(name, value.unwrap_or(0.0), |it| (-2.0..=2.0).contains(&it), "must be between -2 and 2")
    };
    let top_k = top_k(fields.top_k.or(defaults.top_k))?;
    let is_greedy = f64::from(temperature) < GREEDY_BELOW;
    Ok(SamplingParams {
        temperature: if is_greedy { 0.0 } else { temperature.max(to_f32(MIN_TEMPERATURE)) },
        top_p: if is_greedy { 1.0 } else { top_p },
        top_k: if is_greedy { None } else { top_k },
        min_p: if is_greedy { 0.0 } else { min_p },
        presence_penalty: penalty("presence_penalty", fields.presence_penalty)?,
        frequency_penalty: penalty("frequency_penalty", fields.frequency_penalty)?,
        repetition_penalty,
        seed: fields.seed.filter(|&it| it != -1).map(i64::cast_unsigned),
        min_tokens: fields.min_tokens.map_or(Ok(0), |it| count("min_tokens", it, 0))?,
        stop_token_ids: token_ids("stop_token_ids", fields.stop_token_ids.as_deref().unwrap_or(&[]), rules)?,
        ignore_eos: fields.ignore_eos.unwrap_or(false),
        logit_bias: logit_bias(fields, rules)?,
        allowed_token_ids: allowed_token_ids(fields, rules)?,
        bad_words: bad_words(fields, tokenizer)?,
        logprobs: alternatives(asked.logprobs_param, asked.logprobs, rules)?,
        prompt_logprobs: alternatives("prompt_logprobs", asked.prompt_logprobs, rules)?,
        ..SamplingParams::greedy(1)
    })
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

fn top_k(value: Option<i64>) -> Result<Option<u32>, ApiError> {
    match value {
        None | Some(0 | -1) => Ok(None),
        Some(k) if k > 0 => Ok(Some(u32::try_from(k).unwrap_or(u32::MAX))),
        Some(_) => Err(param("top_k", "must be positive, or 0 or -1 to keep all tokens")),
    }
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

fn logit_bias(fields: &SamplingFields, rules: &Rules) -> Result<Vec<(u32, f32)>, ApiError> {
    let biases = fields.logit_bias.iter().flatten();
    biases
        .map(|(id, bias)| {
            let id = id.parse().map_err(|_| param("logit_bias", format!("{id:?} is not a token id")))?;
            Ok((token_id("logit_bias", id, rules)?, to_f32(bias.clamp(-100.0, 100.0))))
        })
        .collect()
}

fn allowed_token_ids(fields: &SamplingFields, rules: &Rules) -> Result<Option<Vec<u32>>, ApiError> {
    let Some(ids) = &fields.allowed_token_ids else { return Ok(None) };
    if ids.is_empty() {
        return Err(param("allowed_token_ids", "must not be empty"));
    }
    token_ids("allowed_token_ids", ids, rules).map(Some)
}

/// Each word as it stands at the start of a text and, when that is another token, after a space.
fn bad_words(fields: &SamplingFields, tokenizer: &Tokenizer) -> Result<Vec<Vec<u32>>, ApiError> {
    let mut sequences = Vec::new();
    for word in fields.bad_words.iter().flatten() {
        let word = word.trim_start();
        if word.is_empty() {
            return Err(param("bad_words", "must not contain an empty string"));
        }
        let encode = |text: &str| {
            tokenizer.encode(text, false).map_err(|_| param("bad_words", format!("{word:?} has no tokens")))
        };
        let (plain, spaced) = (encode(word)?, encode(&format!(" {word}"))?);
        if plain.len() == spaced.len() && plain.first() != spaced.first() {
            sequences.push(spaced);
        }
        sequences.push(plain);
    }
    sequences.retain(|it| !it.is_empty());
    Ok(sequences)
}

fn alternatives(name: &'static str, value: Option<i64>, rules: &Rules) -> Result<Option<u32>, ApiError> {
    let Some(value) = value else { return Ok(None) };
    let asked = if value == -1 { rules.vocab_size } else { count(name, value, 0)? };
    match rules.max_logprobs {
        Some(limit) if asked > limit => {
            Err(param(name, format!("must be at most {limit} (raise it with --max-logprobs)")))
        }
        _ => Ok(Some(asked.min(rules.vocab_size))),
    }
}

fn token_ids(name: &'static str, ids: &[i64], rules: &Rules) -> Result<Vec<u32>, ApiError> {
    ids.iter().map(|&id| token_id(name, id, rules)).collect()
}

fn token_id(name: &'static str, id: i64, rules: &Rules) -> Result<u32, ApiError> {
    let known = u32::try_from(id).ok().filter(|&it| it < rules.vocab_size);
    known.ok_or_else(|| param(name, format!("has {id}, which is not a token id below {}", rules.vocab_size)))
}

fn ranged(
    name: &'static str,
    value: f64,
    is_legal: impl Fn(f64) -> bool,
    rule: &str,
) -> Result<f32, ApiError> {
    // Judged as the sampler will see it: a tiny number may round to a forbidden zero.
    let rounded = to_f32(value);
    if is_legal(f64::from(rounded)) { Ok(rounded) } else { Err(param(name, format!("{rule}, got {value}"))) }
}

fn count(name: &'static str, value: i64, least: u32) -> Result<u32, ApiError> {
    u32::try_from(value.min(i64::from(u32::MAX)))
        .ok()
        .filter(|&it| it >= least)
        .ok_or_else(|| param(name, format!("must be at least {least}, got {value}")))
}

#[expect(clippy::cast_possible_truncation, reason = "sampling works in f32; the nearest value is meant")]
const fn to_f32(value: f64) -> f32 {
    value as f32
}

/// A broken rule about `name`, said in a sentence that begins with the field.
pub fn param(name: &'static str, rule: impl AsRef<str>) -> ApiError {
    ApiError::Param { param: name, message: format!("{name} {}", rule.as_ref()) }
}

#[cfg(test)]
mod tests;
