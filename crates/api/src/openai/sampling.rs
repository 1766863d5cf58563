//! Request fields that chat completions and completions share.
//!
//! A body is read once for what its endpoint adds and once for these, so that an error can name the field and
//! neither list is written twice.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::kv_transfer::KvTransferParams;

/// How to sample, where to stop, what to report and how to schedule. Absent fields take the server's default.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct SamplingFields {
    /// Served name; absent or empty means the base model.
    pub model: Option<String>,
    /// 0 is greedy.
    pub temperature: Option<f64>,
    /// Nucleus mass.
    pub top_p: Option<f64>,
    /// Most likely tokens kept; 0 and -1 are off.
    pub top_k: Option<i64>,
    /// Least probability relative to the best token.
    pub min_p: Option<f64>,
    /// Subtracted once from tokens that were generated already.
    pub presence_penalty: Option<f64>,
    /// Subtracted for each time a token was generated already.
    pub frequency_penalty: Option<f64>,
    /// Divides the logits of tokens in the prompt or the answer.
    pub repetition_penalty: Option<f64>,
    /// Makes the answer reproducible; -1 means none.
    pub seed: Option<i64>,
    /// Choices for each prompt.
    pub n: Option<i64>,
    /// Removed upstream; only a value equal to `n` has an effect this server can give.
    pub best_of: Option<i64>,
    /// Texts that end the answer.
    pub stop: Option<OneOrMany>,
    /// Tokens that end the answer.
    pub stop_token_ids: Option<Vec<i64>>,
    /// Whether the stop text stays in the answer.
    pub include_stop_str_in_output: Option<bool>,
    /// Whether generation goes on after the model's end-of-sequence token.
    pub ignore_eos: Option<bool>,
    /// Tokens before any stop condition counts.
    pub min_tokens: Option<i64>,
    /// Tokens to generate at most.
    pub max_tokens: Option<i64>,
    /// Added to logits, by decimal token id.
    pub logit_bias: Option<BTreeMap<String, f64>>,
    /// The only tokens that may be generated.
    pub allowed_token_ids: Option<Vec<i64>>,
    /// Texts that must not be generated.
    pub bad_words: Option<Vec<String>>,
    /// Whether special tokens vanish from the text.
    pub skip_special_tokens: Option<bool>,
    /// Keeps this many prompt tokens; -1 means as many as the context holds.
    pub truncate_prompt_tokens: Option<i64>,
    /// `left` (keep the end, the default) or `right`.
    pub truncation_side: Option<String>,
    /// Log-probabilities of the prompt's tokens and as many alternatives; -1 means the whole vocabulary.
    pub prompt_logprobs: Option<i64>,
    /// Lower runs earlier under the priority policy.
    pub priority: Option<i64>,
    /// Base of the response id unless a header gives one.
    pub request_id: Option<String>,
    /// Separates the prefix cache of tenants.
    pub cache_salt: Option<String>,
    /// Whether token ids are reported beside the text.
    pub return_token_ids: Option<bool>,
    /// Whether log-probabilities name tokens as `token_id:N`.
    pub return_tokens_as_token_ids: Option<bool>,
    /// Prefill/decode hand-over.
    pub kv_transfer_params: Option<KvTransferParams>,
    /// Whether the answer comes as server-sent events.
    pub stream: Option<bool>,
    /// What a stream reports.
    pub stream_options: Option<StreamOptions>,
}

/// `stream_options`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct StreamOptions {
    /// One more chunk with the usage at the end.
    pub include_usage: Option<bool>,
    /// Usage in every chunk.
    pub continuous_usage_stats: Option<bool>,
}

/// A value or a list of values.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected a string or a list of strings")]
pub enum OneOrMany {
    /// `"a"`
    One(String),
    /// `["a", "b"]`
    Many(Vec<String>),
}

impl From<OneOrMany> for Vec<String> {
    fn from(value: OneOrMany) -> Self {
        match value {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        }
    }
}

/// Fields whose effect on the answer this server cannot give. Ignoring them would return something else than
/// was asked for, so their presence is an error; see [`UnsupportedFields::first_set`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct UnsupportedFields {
    response_format: Option<Value>,
    structured_outputs: Option<IgnoredAny>,
    guided_json: Option<IgnoredAny>,
    guided_regex: Option<IgnoredAny>,
    guided_choice: Option<IgnoredAny>,
    guided_grammar: Option<IgnoredAny>,
    use_beam_search: Option<Value>,
    logprob_token_ids: Option<IgnoredAny>,
    thinking_token_budget: Option<IgnoredAny>,
    repetition_detection: Option<IgnoredAny>,
    ec_transfer_params: Option<IgnoredAny>,
    prompt_embeds: Option<IgnoredAny>,
    suffix: Option<Value>,
    chat_template: Option<IgnoredAny>,
    return_token_offsets: Option<Value>,
    functions: Option<IgnoredAny>,
    function_call: Option<IgnoredAny>,
}

impl UnsupportedFields {
    /// The first field that asks for something this server cannot do. Values that ask for nothing, such as
    /// `response_format: {"type": "text"}`, do not count.
    #[must_use]
    pub fn first_set(&self) -> Option<&'static str> {
        let is_text = |format: &Value| format.get("type").and_then(Value::as_str) == Some("text");
        let is_off = |value: &Value| matches!(value, Value::Bool(false));
        let is_blank = |value: &Value| value.as_str() == Some("");
        [
            ("response_format", self.response_format.as_ref().is_some_and(|it| !is_text(it))),
            ("structured_outputs", self.structured_outputs.is_some()),
            ("guided_json", self.guided_json.is_some()),
            ("guided_regex", self.guided_regex.is_some()),
            ("guided_choice", self.guided_choice.is_some()),
            ("guided_grammar", self.guided_grammar.is_some()),
            ("use_beam_search", self.use_beam_search.as_ref().is_some_and(|it| !is_off(it))),
            ("logprob_token_ids", self.logprob_token_ids.is_some()),
            ("thinking_token_budget", self.thinking_token_budget.is_some()),
            ("repetition_detection", self.repetition_detection.is_some()),
            ("ec_transfer_params", self.ec_transfer_params.is_some()),
            ("prompt_embeds", self.prompt_embeds.is_some()),
            ("suffix", self.suffix.as_ref().is_some_and(|it| !is_blank(it))),
            ("chat_template", self.chat_template.is_some()),
            ("return_token_offsets", self.return_token_offsets.as_ref().is_some_and(|it| !is_off(it))),
            ("functions", self.functions.is_some()),
            ("function_call", self.function_call.is_some()),
        ]
        .into_iter()
        .find_map(|(name, is_set)| is_set.then_some(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: Option<&str>) {
        let fields: UnsupportedFields = serde_json::from_str(body).unwrap();
        assert_eq!(fields.first_set(), expected, "{body}");
    }

    #[test]
    fn fields_that_ask_for_nothing_are_no_problem() {
        check(
            r#"{"response_format":{"type":"text"},"use_beam_search":false,"suffix":"","guided_json":null}"#,
            None,
        );
    }

    #[test]
    fn the_first_unsupported_field_is_named() {
        check(r#"{"response_format":{"type":"json_object"}}"#, Some("response_format"));
        check(r#"{"guided_choice":["a"],"suffix":"x"}"#, Some("guided_choice"));
        check(r#"{"use_beam_search":true}"#, Some("use_beam_search"));
    }
}
