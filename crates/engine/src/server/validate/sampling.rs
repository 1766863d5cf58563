//! Sampling parameters: ranges, and token ids that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use llmd_api::openai::sampling::SamplingFields;
use llmd_tokenizer::Tokenizer;

use super::{Asked, Rules, count, param};
use crate::sampling::SamplingParams;
use crate::server::error::ApiError;

/// Below this a temperature means greedy decoding.
const GREEDY_BELOW: f64 = 1e-5;
/// Least temperature that is not greedy: dividing logits by less overflows.
const MIN_TEMPERATURE: f64 = 0.01;
/// Bad words of a request: each is looked for before every token, in everybody's step.
pub(super) const MAX_BAD_WORDS: usize = 1024;

/// Parameters of a request, all but the number of tokens.
pub(super) fn sampling(
    fields: &SamplingFields,
    asked: Asked,
    rules: &Rules,
    tokenizer: &Tokenizer,
) -> Result<SamplingParams, ApiError> {
    let defaults = &rules.defaults;
    let or_default = |asked: Option<f64>, of_model: Option<f32>, of_openai: f64| {
        asked.or_else(|| of_model.map(f64::from)).unwrap_or(of_openai)
    };
    let temperature = ranged(
        "temperature",
        or_default(fields.temperature, defaults.temperature, 1.0),
        |it| (0.0..=2.0).contains(&it),
        "must be between 0 and 2",
    )?;
    let top_p = ranged(
        "top_p",
        or_default(fields.top_p, defaults.top_p, 1.0),
        |it| it > 0.0 && it <= 1.0,
        "must be above 0 and at most 1",
    )?;
    let min_p = ranged(
        "min_p",
        or_default(fields.min_p, defaults.min_p, 0.0),
        |it| (0.0..=1.0).contains(&it),
        "must be between 0 and 1",
    )?;
    let repetition_penalty = ranged(
        "repetition_penalty",
        or_default(fields.repetition_penalty, defaults.repetition_penalty, 1.0),
        |it| it > 0.0 && it.is_finite(),
        "must be above 0",
    )?;
    let penalty = |name, value: Option<f64>| {
        ranged(name, value.unwrap_or(0.0), |it| (-2.0..=2.0).contains(&it), "must be between -2 and 2")
    };
    let top_k = top_k(fields.top_k.or(defaults.top_k))?;
    let min_tokens = fields.min_tokens.map_or(Ok(0), |it| count("min_tokens", it, 0))?;
    let stop_token_ids = token_ids("stop_token_ids", fields.stop_token_ids.as_deref().unwrap_or(&[]), rules)?;
    let allowed_token_ids = allowed_token_ids(fields, rules)?;
    let ends = |id: &u32| rules.eos_token_ids.contains(id) || stop_token_ids.binary_search(id).is_ok();
    if min_tokens > 0 && allowed_token_ids.as_deref().is_some_and(|it| it.iter().all(ends)) {
        return Err(param("min_tokens", "needs allowed_token_ids that do not end the answer"));
    }
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
        min_tokens,
        stop_token_ids,
        ignore_eos: fields.ignore_eos.unwrap_or(false),
        logit_bias: logit_bias(fields, rules)?,
        allowed_token_ids,
        bad_words: bad_words(fields, tokenizer)?,
        logprobs: alternatives(asked.logprobs_param, asked.logprobs, rules)?,
        prompt_logprobs: alternatives("prompt_logprobs", asked.prompt_logprobs, rules)?,
        ..SamplingParams::greedy(1)
    })
}

fn top_k(value: Option<i64>) -> Result<Option<u32>, ApiError> {
    match value {
        None | Some(0 | -1) => Ok(None),
        Some(k) if k > 0 => Ok(Some(u32::try_from(k).unwrap_or(u32::MAX))),
        Some(_) => Err(param("top_k", "must be positive, or 0 or -1 to keep all tokens")),
    }
}

fn logit_bias(fields: &SamplingFields, rules: &Rules) -> Result<Arc<[(u32, f32)]>, ApiError> {
    let biases = fields.logit_bias.iter().flatten();
    let by_token: BTreeMap<u32, f32> = biases
        .map(|(id, bias)| {
            let id = id.parse().map_err(|_| param("logit_bias", format!("{id:?} is not a token id")))?;
            Ok((token_id("logit_bias", id, rules)?, to_f32(bias.clamp(-100.0, 100.0))))
        })
        .collect::<Result<_, ApiError>>()?;
    Ok(by_token.into_iter().collect())
}

fn allowed_token_ids(fields: &SamplingFields, rules: &Rules) -> Result<Option<Arc<[u32]>>, ApiError> {
    let Some(ids) = &fields.allowed_token_ids else { return Ok(None) };
    if ids.is_empty() {
        return Err(param("allowed_token_ids", "must not be empty"));
    }
    token_ids("allowed_token_ids", ids, rules).map(Some)
}

/// Each word as it stands at the start of a text and, when that is another token, after a space.
fn bad_words(fields: &SamplingFields, tokenizer: &Tokenizer) -> Result<Arc<[Vec<u32>]>, ApiError> {
    if fields.bad_words.as_ref().is_some_and(|it| it.len() > MAX_BAD_WORDS) {
        return Err(param("bad_words", format!("must have at most {MAX_BAD_WORDS} words")));
    }
    let mut sequences = BTreeSet::new();
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
            sequences.insert(spaced);
        }
        sequences.insert(plain);
    }
    Ok(sequences.into_iter().filter(|it| !it.is_empty()).collect())
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

/// The ids in ascending order, each once.
fn token_ids(name: &'static str, ids: &[i64], rules: &Rules) -> Result<Arc<[u32]>, ApiError> {
    let ids: BTreeSet<u32> = ids.iter().map(|&id| token_id(name, id, rules)).collect::<Result<_, _>>()?;
    Ok(ids.into_iter().collect())
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

#[expect(clippy::cast_possible_truncation, reason = "sampling works in f32; the nearest value is meant")]
const fn to_f32(value: f64) -> f32 {
    value as f32
}
