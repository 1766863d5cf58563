//! Token counts while an answer grows.

use llmd_api::openai::usage::{PromptTokensDetails, Usage};

use super::submit::Piece;

/// Counts of one client request.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Tokens of each prompt.
    prompt_tokens: Vec<u32>,
    /// Tokens each prompt did not need to compute.
    cached_tokens: Vec<u32>,
    /// Generated tokens of each choice.
    completion_tokens: Vec<u32>,
    n: u32,
    with_details: bool,
    counts_answers: bool,
}

impl Tally {
    /// Nothing generated yet. `n` choices belong to each of the prompts.
    #[must_use]
    pub fn new(prompt_tokens: Vec<u32>, n: u32, with_details: bool) -> Self {
        Self {
            cached_tokens: vec![0; prompt_tokens.len()],
            completion_tokens: vec![0; prompt_tokens.len() * n as usize],
            prompt_tokens,
            n,
            with_details,
            counts_answers: true,
        }
    }

    /// Counts no generated tokens: the request asked for none, whatever the engine sampled.
    #[must_use]
    pub fn without_answers(self) -> Self {
        Self { counts_answers: false, ..self }
    }

    /// Choices of each prompt.
    #[must_use]
    pub const fn n(&self) -> u32 {
        self.n
    }

    /// Takes the counts of a piece. The first choice of a prompt says what was cached: the others find its blocks.
    pub fn record(&mut self, piece: &Piece) {
        if self.counts_answers {
            self.completion_tokens[piece.index as usize] = piece.n_tokens;
        }
        if piece.index.is_multiple_of(self.n) {
            let prompt = self.prompt_of(piece.index);
            self.cached_tokens[prompt] = piece.cached_tokens;
        }
    }

    /// Counts of the whole request so far.
    #[must_use]
    pub fn total(&self) -> Usage {
        let cached = self.cached_tokens.iter().sum();
        self.usage(self.prompt_tokens.iter().sum(), self.completion_tokens.iter().sum(), cached)
    }

    /// Counts of one choice so far.
    #[must_use]
    pub fn of_choice(&self, index: u32) -> Usage {
        let (prompt, completion_tokens) = (self.prompt_of(index), self.completion_tokens[index as usize]);
        self.usage(self.prompt_tokens[prompt], completion_tokens, self.cached_tokens[prompt])
    }

    const fn prompt_of(&self, index: u32) -> usize {
        (index / self.n) as usize
    }

    fn usage(&self, prompt_tokens: u32, completion_tokens: u32, cached_tokens: u32) -> Usage {
        Usage {
            prompt_tokens,
            total_tokens: prompt_tokens.saturating_add(completion_tokens),
            completion_tokens,
            prompt_tokens_details: self
                .with_details
                .then_some(PromptTokensDetails { cached_tokens: Some(cached_tokens) }),
            completion_tokens_details: None,
        }
    }
}
