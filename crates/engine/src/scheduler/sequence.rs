//! What the scheduler knows about one sequence.

use crate::kv_cache::BlockTable;

/// Place among all sequences, lower first. Given once, so a preempted sequence returns to where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub(super) priority: i32,
    pub(super) arrival: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// In the queue, without blocks.
    Waiting,
    /// Has blocks; those from `first_block` on are being filled by another engine.
    Pulling { first_block: usize },
    /// In the batch.
    Running,
}

#[derive(Debug)]
pub(super) struct Sequence {
    /// Prompt, then generated tokens.
    pub(super) tokens: Vec<u32>,
    pub(super) n_prompt: usize,
    /// Leading tokens whose KV is in the cache.
    pub(super) n_computed: usize,
    pub(super) table: BlockTable,
    pub(super) rank: Rank,
    pub(super) phase: Phase,
    /// Another engine holds the prompt's blocks and was not asked yet. It is asked once: after a preemption the
    /// prompt is recomputed.
    pub(super) remote_prefill: bool,
    pub(super) prompt_logits: bool,
}

impl Sequence {
    pub(super) fn n_pending(&self) -> usize {
        self.tokens.len() - self.n_computed
    }

    pub(super) fn prompt(&self) -> &[u32] {
        &self.tokens[..self.n_prompt]
    }

    /// Whether the chunk from here on holds prompt positions whose logits are wanted. The last prompt token is
    /// not one of them: its logits are for the first generated token.
    pub(super) fn needs_prompt_logits(&self) -> bool {
        self.prompt_logits && self.n_computed + 1 < self.n_prompt
    }
}
