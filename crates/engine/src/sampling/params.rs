//! Checked sampling parameters of one sequence.
//!
//! Lists are shared: a request may have a thousand choices, and a list of it as many entries as the vocabulary.

use std::sync::Arc;

/// How to sample one sequence. Every value is in its legal range: the server checked it.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplingParams {
    /// 0 means greedy; otherwise at least 0.01.
    pub temperature: f32,
    /// In (0, 1]; 1 is off.
    pub top_p: f32,
    /// Most likely tokens kept; `None` is off.
    pub top_k: Option<u32>,
    /// In [0, 1]; 0 is off.
    pub min_p: f32,
    /// In [-2, 2]; over generated tokens.
    pub presence_penalty: f32,
    /// In [-2, 2]; over generated tokens.
    pub frequency_penalty: f32,
    /// Above 0; over prompt and generated tokens; 1 is off.
    pub repetition_penalty: f32,
    /// With a seed, the tokens depend on seed and position alone, whatever else is in the batch.
    pub seed: Option<u64>,
    /// Tokens to generate at most, at least 1; prompt plus this fits the context.
    pub max_tokens: u32,
    /// Before this many tokens, end-of-sequence and stop tokens are masked.
    pub min_tokens: u32,
    /// Tokens that end the sequence besides the model's own, ascending.
    pub stop_token_ids: Arc<[u32]>,
    /// Go on after the model's end-of-sequence token.
    pub ignore_eos: bool,
    /// Added to logits, by token.
    pub logit_bias: Arc<[(u32, f32)]>,
    /// When present, all other tokens are masked; ascending.
    pub allowed_token_ids: Option<Arc<[u32]>>,
    /// Token sequences that must not appear.
    pub bad_words: Arc<[Vec<u32>]>,
    /// `Some(k)`: report the sampled token's log-probability and the `k` best.
    pub logprobs: Option<u32>,
    /// `Some(k)`: the same for prompt positions; prefix-cache reads are skipped then.
    pub prompt_logprobs: Option<u32>,
}

impl SamplingParams {
    /// Greedy decoding of `max_tokens` tokens with everything else off.
    #[must_use]
    pub fn greedy(max_tokens: u32) -> Self {
        Self {
            temperature: 0.0,
            top_p: 1.0,
            top_k: None,
            min_p: 0.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            repetition_penalty: 1.0,
            seed: None,
            max_tokens,
            min_tokens: 0,
            stop_token_ids: Arc::default(),
            ignore_eos: false,
            logit_bias: Arc::default(),
            allowed_token_ids: None,
            bad_words: Arc::default(),
            logprobs: None,
            prompt_logprobs: None,
        }
    }

    /// Whether the best token is taken without chance.
    #[must_use]
    pub fn is_greedy(&self) -> bool {
        self.temperature == 0.0
    }
}
