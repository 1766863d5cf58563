//! `StepPlan`: what one forward pass computes. The seam between scheduling and execution.
//!
//! The plan is plain data: the scheduler makes it without knowing a model, a runner executes it without
//! knowing a queue.

use crate::kv_cache::BlockId;
use crate::request::SequenceId;

/// One forward pass over the new tokens of several sequences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepPlan {
    /// Sequences in schedule order. Each appears at most once.
    pub sequences: Vec<SequenceStep>,
}

/// The share of one sequence in a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceStep {
    /// Whose tokens these are.
    pub id: SequenceId,
    /// Tokens to compute now, at least one: a chunk of the prompt or the last sampled token.
    pub tokens: Vec<u32>,
    /// Position of `tokens[0]`, which is also the number of tokens whose KV is in the cache already.
    pub start: u32,
    /// KV blocks of the sequence from position 0; they cover `start + tokens.len()` positions.
    pub blocks: Vec<BlockId>,
    /// Which of `tokens` need logits.
    pub logits: LogitRows,
}

/// Rows of a sequence's tokens whose logits leave the forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogitRows {
    /// None: an inner chunk of a prompt.
    None,
    /// The last token's, to sample the next one.
    Last,
    /// Every token's, for prompt log-probabilities.
    All,
}

impl LogitRows {
    /// How many of `n_tokens` rows this selects.
    #[must_use]
    pub const fn count(self, n_tokens: usize) -> usize {
        match self {
            Self::None => 0,
            Self::Last => 1,
            Self::All => n_tokens,
        }
    }
}

impl StepPlan {
    /// Tokens computed by this step.
    #[must_use]
    pub fn n_tokens(&self) -> usize {
        self.sequences.iter().map(|it| it.tokens.len()).sum()
    }

    /// Rows of logits this step produces, in the order of `sequences` and of tokens within each.
    #[must_use]
    pub fn n_logit_rows(&self) -> usize {
        self.sequences.iter().map(|it| it.logits.count(it.tokens.len())).sum()
    }
}
