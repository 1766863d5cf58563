//! Log-probabilities in responses. Values are natural logarithms, floored at [`FLOOR`].

use indexmap::IndexMap;
use serde::Serialize;

/// Stands for every log-probability below it, because JSON has no negative infinity.
pub const FLOOR: f32 = -9999.0;

/// `logprobs` of a chat choice.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ChatLogprobs {
    /// One entry a token of the text.
    pub content: Vec<ChatTokenLogprob>,
}

/// One generated token with the best alternatives.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChatTokenLogprob {
    /// The token's text; what is part of a character is U+FFFD.
    pub token: String,
    /// Natural logarithm of its probability.
    pub logprob: f32,
    /// The token's bytes; those of all tokens, joined, are the text in UTF-8.
    pub bytes: Vec<u8>,
    /// As many of the most likely tokens as were asked for, best first.
    pub top_logprobs: Vec<TopLogprob>,
}

/// One alternative.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TopLogprob {
    /// The token's text.
    pub token: String,
    /// Natural logarithm of its probability.
    pub logprob: f32,
    /// The token's bytes.
    pub bytes: Vec<u8>,
}

/// `logprobs` of a completion choice: four lists of equal length.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct CompletionLogprobs {
    /// Where each token begins in the choice's text, in characters.
    pub text_offset: Vec<usize>,
    /// Log-probability of each token; `None` for the first prompt token.
    pub token_logprobs: Vec<Option<f32>>,
    /// Each token's text.
    pub tokens: Vec<String>,
    /// The token itself and the best alternatives, by text.
    pub top_logprobs: Vec<Option<IndexMap<String, f32>>>,
}

impl CompletionLogprobs {
    /// Appends `later`, whose offsets count from the start of the choice already.
    pub fn extend(&mut self, later: Self) {
        let Self { text_offset, token_logprobs, tokens, top_logprobs } = later;
        self.text_offset.extend(text_offset);
        self.token_logprobs.extend(token_logprobs);
        self.tokens.extend(tokens);
        self.top_logprobs.extend(top_logprobs);
    }
}

/// One candidate at a prompt position, keyed by token id in [`PromptLogprobs`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PromptLogprob {
    /// Natural logarithm of the probability.
    pub logprob: f32,
    /// 1 for the most likely token.
    pub rank: u32,
    /// The token's text.
    pub decoded_token: String,
}

/// `prompt_logprobs`: one entry a prompt token, `None` for the first, otherwise candidates by token id.
pub type PromptLogprobs = Vec<Option<IndexMap<u32, PromptLogprob>>>;
