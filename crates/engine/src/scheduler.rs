//! Batch scheduling: which tokens of which sequences the next step computes.
//!
//! There is no prefill or decode phase. Every sequence has tokens and a number of computed ones; each step
//! hands out a budget of tokens so that the second catches up with the first. A sequence that has caught up
//! gets one more token by sampling.
//!
//! A pure state machine: no tensors, no clock, no channels. Guarantees:
//! - Sequences are ranked once, by priority (under that policy) and arrival. The highest-ranked running
//!   sequence is never preempted, so there is always progress.
//! - A sequence is admitted only when all its tokens fit, and none is accepted that the whole cache cannot hold.
//! - A sequence that waits for another engine's blocks has its own blocks already and holds a seat in the
//!   batch, but takes no part in steps.
//!
//! Not here: what a token is (sampling), when a sequence ends (engine), how blocks travel (KV transfer).

mod plan;
mod sequence;

use std::collections::{BTreeMap, HashMap};

use llmd_kv::hash::BlockHash;

use crate::kv_cache::{BlockId, BlockTable, KvCacheManager};
use crate::kv_transfer::LeaseId;
use crate::request::SequenceId;
use crate::step::StepPlan;
use sequence::{Phase, Rank, Sequence};

/// Order of the waiting queue, and who is preempted last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SchedulingPolicy {
    /// By arrival.
    #[default]
    Fcfs,
    /// By priority, lower first, then by arrival.
    Priority,
}

/// Limits of a step.
#[derive(Debug, Clone, PartialEq)]
pub struct SchedulerConfig {
    /// Sequences in the batch at most, those that wait for remote blocks included. At least 1.
    pub max_num_seqs: usize,
    /// Tokens computed in one step at most. At least 1.
    pub max_num_batched_tokens: usize,
    /// Tokens of one sequence in one step at most while there are others; 0 is off.
    pub long_prefill_token_threshold: usize,
    /// Prompt and generated tokens of one sequence at most.
    pub max_model_len: usize,
    /// Who goes first.
    pub policy: SchedulingPolicy,
    /// Share of the blocks kept free when a sequence joins others, so that it does not preempt them at once.
    pub watermark: f64,
}

/// A sequence to schedule.
#[derive(Debug)]
pub struct NewSequence {
    /// Unique among the live sequences.
    pub id: SequenceId,
    /// At least one token.
    pub prompt: Vec<u32>,
    /// Lower goes first under [`SchedulingPolicy::Priority`].
    pub priority: i32,
    /// See [`crate::request::EngineRequest::cache_salt`].
    pub cache_salt: Option<String>,
    /// Another engine holds the prompt's blocks.
    pub remote_prefill: bool,
    /// Logits of every prompt position are wanted, so nothing of the prompt is taken from a cache.
    pub prompt_logits: bool,
}

/// Why a sequence is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// Nothing to continue.
    #[error("the prompt is empty")]
    Empty,
    /// It could never run.
    #[error("the prompt has {n_tokens} tokens, but this engine holds at most {max_model_len} a sequence")]
    TooLong {
        /// Tokens of the prompt.
        n_tokens: usize,
        /// Context or cache, whichever is smaller; one token of it is for the answer.
        max_model_len: usize,
    },
}

/// What to do next.
#[derive(Debug, Default)]
pub struct Schedule {
    /// The tokens to compute; may be empty.
    pub plan: StepPlan,
    /// Sequences that joined the batch now.
    pub admitted: Vec<Admission>,
    /// Sequences that got blocks and wait for another engine to fill them.
    pub pulls: Vec<PullOrder>,
    /// Sequences whose remote blocks are not needed.
    pub found_locally: Vec<SequenceId>,
    /// Sequences that lost their blocks and wait again.
    pub preempted: Vec<SequenceId>,
}

impl Schedule {
    /// Whether nothing changed and nothing is to be done: only news from outside can help.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.plan.sequences.is_empty() && self.pulls.is_empty() && self.preempted.is_empty()
    }
}

/// A sequence that joined the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// Which.
    pub id: SequenceId,
    /// Tokens that need not be computed.
    pub n_cached: usize,
    /// Of them, those another engine sent; the others were in the prefix cache.
    pub n_transferred: usize,
}

/// Blocks to pull for a sequence.
#[derive(Debug)]
pub struct PullOrder {
    /// Which.
    pub id: SequenceId,
    /// Blocks before this index are here already.
    pub first_block: usize,
    /// Hashes of all the prompt's blocks, the last one possibly partial.
    pub hashes: Vec<BlockHash>,
}

/// Queues and blocks of all live sequences.
#[derive(Debug)]
pub struct Scheduler {
    config: SchedulerConfig,
    cache: KvCacheManager,
    sequences: HashMap<SequenceId, Sequence>,
    /// Bounded by the engine's admission limit.
    waiting: BTreeMap<Rank, SequenceId>,
    running: BTreeMap<Rank, SequenceId>,
    n_pulling: usize,
    n_arrived: u64,
}

impl Scheduler {
    /// An empty scheduler over `cache`. The context is cut to what the whole cache holds.
    #[must_use]
    pub fn new(mut config: SchedulerConfig, cache: KvCacheManager) -> Self {
        config.max_model_len = config.max_model_len.min(cache.capacity());
        // A decoding sequence needs a token of budget each step.
        config.max_num_seqs = config.max_num_seqs.min(config.max_num_batched_tokens);
        Self {
            config,
            cache,
            sequences: HashMap::new(),
            waiting: BTreeMap::new(),
            running: BTreeMap::new(),
            n_pulling: 0,
            n_arrived: 0,
        }
    }

    /// Tokens of one sequence at most: the context, or less when the cache is smaller.
    #[must_use]
    pub const fn max_model_len(&self) -> usize {
        self.config.max_model_len
    }

    /// Sequences in the batch.
    #[must_use]
    pub fn n_running(&self) -> usize {
        self.running.len()
    }

    /// Sequences that wait for room.
    #[must_use]
    pub fn n_waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Sequences that wait for another engine's blocks.
    #[must_use]
    pub const fn n_pulling(&self) -> usize {
        self.n_pulling
    }

    /// The blocks.
    #[must_use]
    pub const fn cache(&self) -> &KvCacheManager {
        &self.cache
    }

    /// Queues a sequence.
    ///
    /// # Errors
    /// When it could never run, see [`AddError`].
    pub fn add(&mut self, new: NewSequence) -> Result<(), AddError> {
        let NewSequence { id, prompt, priority, cache_salt, remote_prefill, prompt_logits } = new;
        let (n_tokens, max_model_len) = (prompt.len(), self.config.max_model_len);
        if n_tokens == 0 {
            return Err(AddError::Empty);
        }
        if n_tokens >= max_model_len {
            return Err(AddError::TooLong { n_tokens, max_model_len });
        }
        let priority = match self.config.policy {
            SchedulingPolicy::Fcfs => 0,
            SchedulingPolicy::Priority => priority,
        };
        let rank = Rank { priority, arrival: self.n_arrived };
        self.n_arrived += 1;
        let sequence = Sequence {
            n_prompt: n_tokens,
            tokens: prompt,
            n_computed: 0,
            table: BlockTable::new(cache_salt),
            rank,
            phase: Phase::Waiting,
            remote_prefill,
            prompt_logits,
        };
        let previous = self.sequences.insert(id, sequence);
        debug_assert!(previous.is_none(), "sequence ids are unique");
        self.waiting.insert(rank, id);
        Ok(())
    }

    /// Prompt and generated tokens.
    #[must_use]
    pub fn tokens(&self, id: SequenceId) -> &[u32] {
        self.sequences.get(&id).map_or(&[], |it| &it.tokens)
    }

    /// Whether the sequence still counts on blocks of another engine.
    #[must_use]
    pub fn awaits_remote(&self, id: SequenceId) -> bool {
        self.sequences
            .get(&id)
            .is_some_and(|it| it.remote_prefill || matches!(it.phase, Phase::Pulling { .. }))
    }

    /// Records that the KV of `plan`'s tokens is in the cache.
    pub fn complete(&mut self, plan: &StepPlan) {
        for step in &plan.sequences {
            if let Some(sequence) = self.sequences.get_mut(&step.id) {
                sequence.n_computed += step.tokens.len();
                self.cache.publish(&mut sequence.table, &sequence.tokens, sequence.n_computed);
            }
        }
    }

    /// Whether all tokens of a sequence are computed, so that the next one can be sampled.
    #[must_use]
    pub fn has_caught_up(&self, id: SequenceId) -> bool {
        self.sequences.get(&id).is_some_and(|it| it.n_pending() == 0)
    }

    /// Appends a sampled token, to be computed by the next step.
    pub fn push_token(&mut self, id: SequenceId, token: u32) {
        if let Some(sequence) = self.sequences.get_mut(&id) {
            sequence.tokens.push(token);
        }
    }

    /// The blocks a pull has to fill, or `None` when the sequence does not wait for one.
    #[must_use]
    pub fn blocks_to_fill(&self, id: SequenceId) -> Option<&[BlockId]> {
        let sequence = self.sequences.get(&id)?;
        match sequence.phase {
            Phase::Pulling { first_block } => Some(&sequence.table.blocks()[first_block..]),
            Phase::Waiting | Phase::Running => None,
        }
    }

    /// Lets a sequence that waited for a pull run. With the blocks filled, only the last prompt token is left to
    /// compute; without, everything the local cache did not have.
    ///
    /// `None` when it did not wait for one.
    pub fn end_pull(&mut self, id: SequenceId, is_filled: bool) -> Option<Admission> {
        let sequence = self.sequences.get_mut(&id)?;
        let Phase::Pulling { first_block } = sequence.phase else { return None };
        let n_local = first_block * self.cache.block_size();
        let n_cached = if is_filled { sequence.n_prompt - 1 } else { n_local };
        sequence.n_computed = n_cached;
        sequence.phase = Phase::Running;
        self.cache.publish(&mut sequence.table, &sequence.tokens, n_cached);
        self.n_pulling -= 1;
        self.running.insert(sequence.rank, id);
        Some(Admission { id, n_cached, n_transferred: n_cached - n_local })
    }

    /// The blocks of a sequence's prompt with their hashes, the last one possibly partial. `None` while the
    /// prompt's KV is not complete, as after a preemption.
    #[must_use]
    pub fn prompt_blocks(&self, id: SequenceId) -> Option<Vec<(BlockId, BlockHash)>> {
        let sequence = self.sequences.get(&id).filter(|it| it.n_computed >= it.n_prompt)?;
        let hashes = self.cache.prompt_hashes(&sequence.table, sequence.prompt());
        Some(sequence.table.blocks().iter().copied().zip(hashes).collect())
    }

    /// Keeps the blocks of [`Self::prompt_blocks`] until the lease ends.
    pub fn pin_prompt(&mut self, id: SequenceId, lease: LeaseId) {
        if let Some(sequence) = self.sequences.get(&id).filter(|it| it.n_computed >= it.n_prompt) {
            let n_blocks = sequence.n_prompt.div_ceil(self.cache.block_size());
            self.cache.pin(lease, &sequence.table, n_blocks);
        }
    }

    /// Ends a lease.
    pub fn unpin(&mut self, lease: LeaseId) {
        self.cache.unpin(lease);
    }

    /// Forgets a sequence in any phase and takes its blocks back. Unknown ids are ignored.
    pub fn remove(&mut self, id: SequenceId) {
        let Some(mut sequence) = self.sequences.remove(&id) else { return };
        self.cache.release(&mut sequence.table);
        match sequence.phase {
            Phase::Waiting => drop(self.waiting.remove(&sequence.rank)),
            Phase::Running => drop(self.running.remove(&sequence.rank)),
            Phase::Pulling { .. } => self.n_pulling -= 1,
        }
    }

    /// Forgets all prefixes that nobody uses.
    pub fn reset_prefix_cache(&mut self) {
        self.cache.reset_prefix_cache();
    }
}

#[cfg(test)]
mod tests;
