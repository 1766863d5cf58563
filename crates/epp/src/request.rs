//! An inference request as scheduling sees it: model, prompt and what producers found out about it.
//!
//! Everything that comes from the body is borrowed from it; the body itself is forwarded as it came.

use std::borrow::Cow;
use std::collections::HashMap;

pub mod json;
pub mod prompt;
pub mod rewrite;

pub use prompt::Prompt;

/// One request on its way through the scheduling cycle.
#[derive(Debug)]
pub struct InferenceRequest<'a> {
    /// From `x-request-id`.
    pub id: Cow<'a, str>,
    /// Model the client named; empty when the body is not understood.
    pub model: Cow<'a, str>,
    /// Model the engine is asked for.
    pub target_model: Cow<'a, str>,
    /// Of the objective that the client named; higher is worth more, negative is shed first.
    pub priority: i32,
    /// Separates the caches of tenants; empty when the client gave none.
    pub cache_salt: Cow<'a, str>,
    /// What the engine will have to prefill.
    pub prompt: Prompt<'a>,
    /// Request headers with lower-case names.
    pub headers: &'a HashMap<String, String>,
    /// What each prefix producer found, by [`PrefixSlot`].
    pub prefix_matches: Vec<PrefixMatches>,
}

impl InferenceRequest<'_> {
    /// What the producer of `slot` found. Empty before producers ran.
    #[must_use]
    pub fn prefix(&self, slot: PrefixSlot) -> Option<&PrefixMatches> {
        self.prefix_matches.get(slot.0)
    }
}

/// Position of a prefix producer's result in [`InferenceRequest::prefix_matches`], given out at start-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrefixSlot(pub usize);

/// How much of the prompt's prefix each candidate holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrefixMatches {
    /// Blocks of the whole prompt, a partial last one included.
    pub total_blocks: u32,
    /// Tokens in a block.
    pub block_size: u32,
    /// Leading blocks each candidate holds, by [`crate::scheduling::Candidate::index`].
    pub cached_blocks: Vec<u32>,
}

impl PrefixMatches {
    /// Leading blocks that candidate number `index` holds.
    #[must_use]
    pub fn cached(&self, index: usize) -> u32 {
        self.cached_blocks.get(index).copied().unwrap_or(0)
    }
}
