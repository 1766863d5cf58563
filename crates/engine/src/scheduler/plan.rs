//! One step's plan: running sequences first, then waiting ones, within the token budget.

use super::sequence::{Phase, Rank};
use super::{Admission, PullOrder, Schedule, Scheduler};
use crate::request::SequenceId;
use crate::step::{LogitRows, SequenceStep};

/// Prompt tokens of a step at most whose logits leave it: they take `rows × vocabulary × 4` bytes.
const MAX_PROMPT_LOGIT_ROWS: usize = 128;

impl Scheduler {
    /// Plans the next step. Its KV counts as computed only after [`Scheduler::complete`].
    pub fn schedule(&mut self) -> Schedule {
        let mut schedule = Schedule::default();
        let mut budget = self.config.max_num_batched_tokens;
        self.schedule_decodes(&mut budget, &mut schedule);
        self.schedule_prefills(&mut budget, &mut schedule);
        // Whoever was just preempted needs the blocks more than anyone new.
        if schedule.preempted.is_empty() {
            self.admit_waiting(&mut budget, &mut schedule);
        }
        schedule
    }

    /// Sequences with one token to go come first, so that a long prompt does not delay their next token.
    fn schedule_decodes(&mut self, budget: &mut usize, schedule: &mut Schedule) {
        // In order of rank, and victims are taken from the other end: nobody in the plan loses his blocks.
        for (rank, id) in self.running_where(|n_pending| n_pending == 1) {
            if *budget == 0 {
                return;
            }
            if self.running.contains_key(&rank) && self.make_room(id, schedule) {
                self.plan_chunk(id, 1, schedule);
                *budget -= 1;
            }
        }
    }

    /// Their blocks were reserved when they joined.
    fn schedule_prefills(&mut self, budget: &mut usize, schedule: &mut Schedule) {
        for (_, id) in self.running_where(|n_pending| n_pending > 1) {
            self.schedule_prefill(id, budget, schedule);
        }
    }

    fn schedule_prefill(&self, id: SequenceId, budget: &mut usize, schedule: &mut Schedule) {
        let n_tokens = self.chunk_size(id, *budget, schedule);
        if n_tokens > 0 {
            self.plan_chunk(id, n_tokens, schedule);
            *budget -= n_tokens;
        }
    }

    fn running_where(&self, is_wanted: impl Fn(usize) -> bool) -> Vec<(Rank, SequenceId)> {
        let is_wanted = |id: &SequenceId| is_wanted(self.sequences[id].n_pending());
        self.running.iter().filter(|(_, id)| is_wanted(id)).map(|(rank, id)| (*rank, *id)).collect()
    }

    /// Gives `id` blocks for all its tokens, preempting from the lowest rank upwards. False when it was `id`'s
    /// own turn to go.
    fn make_room(&mut self, id: SequenceId, schedule: &mut Schedule) -> bool {
        loop {
            let sequence = self.sequences.get_mut(&id).expect("running sequences exist");
            if self.cache.grow(&mut sequence.table, sequence.tokens.len()) {
                return true;
            }
            let (_, victim) = self.running.pop_last().expect("at least `id` runs");
            self.preempt(victim);
            schedule.preempted.push(victim);
            if victim == id {
                return false;
            }
        }
    }

    /// Back to the queue, to be recomputed. The blocks stay findable, so often little is lost.
    fn preempt(&mut self, id: SequenceId) {
        let sequence = self.sequences.get_mut(&id).expect("running sequences exist");
        self.cache.release(&mut sequence.table);
        sequence.n_computed = 0;
        sequence.phase = Phase::Waiting;
        self.waiting.insert(sequence.rank, id);
    }

    fn admit_waiting(&mut self, budget: &mut usize, schedule: &mut Schedule) {
        while self.running.len() + self.n_pulling < self.config.max_num_seqs {
            let Some((&rank, &id)) = self.waiting.first_key_value() else { return };
            // Whoever waits for remote blocks needs no budget yet, and the sooner they are asked for the better.
            if *budget == 0 && !self.sequences[&id].remote_prefill {
                return;
            }
            let Some(n_cached) = self.allocate(id) else { return };
            self.waiting.remove(&rank);
            if let Some(pull) = self.start_pull(id, n_cached, schedule) {
                schedule.pulls.push(pull);
                self.n_pulling += 1;
                continue;
            }
            let sequence = self.sequences.get_mut(&id).expect("waiting sequences exist");
            sequence.phase = Phase::Running;
            sequence.n_computed = n_cached;
            self.running.insert(rank, id);
            schedule.admitted.push(Admission { id, n_cached, n_transferred: 0 });
            self.schedule_prefill(id, budget, schedule);
        }
    }

    /// Gives a waiting sequence blocks for all its tokens. Returns how many tokens they hold already, or `None`
    /// when there is no room.
    fn allocate(&mut self, id: SequenceId) -> Option<usize> {
        let is_alone = self.running.is_empty() && self.n_pulling == 0;
        let n_reserved = if is_alone { 0 } else { self.n_reserved() };
        let sequence = self.sequences.get_mut(&id).expect("waiting sequences exist");
        // With prompt logits wanted, each prompt token has to be computed.
        let prefix = match sequence.prompt_logits {
            true => Vec::new(),
            false => self.cache.find_prefix(&mut sequence.table, &sequence.tokens),
        };
        self.cache
            .admit(&mut sequence.table, &prefix, sequence.tokens.len(), n_reserved)
            .then_some(prefix.len() * self.cache.block_size())
    }

    #[expect(clippy::cast_precision_loss, reason = "block counts stay far below 2^53")]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a block count")]
    fn n_reserved(&self) -> usize {
        (self.cache.n_usable() as f64 * self.config.watermark.clamp(0.0, 1.0)) as usize
    }

    /// Decides once whether a sequence with blocks waits for another engine to fill them.
    fn start_pull(&mut self, id: SequenceId, n_cached: usize, schedule: &mut Schedule) -> Option<PullOrder> {
        let sequence = self.sequences.get_mut(&id).expect("waiting sequences exist");
        if !std::mem::take(&mut sequence.remote_prefill) {
            return None;
        }
        // The last prompt token is computed here in any case.
        if sequence.prompt_logits || n_cached + 1 >= sequence.n_prompt {
            schedule.found_locally.push(id);
            return None;
        }
        let first_block = n_cached / self.cache.block_size();
        sequence.phase = Phase::Pulling { first_block };
        let hashes = self.cache.prompt_hashes(&sequence.table, sequence.prompt());
        Some(PullOrder { id, first_block, hashes })
    }

    /// Tokens of a sequence to compute now: all that are left, within the budget and the limits of a chunk.
    fn chunk_size(&self, id: SequenceId, budget: usize, schedule: &Schedule) -> usize {
        let sequence = &self.sequences[&id];
        let mut n_tokens = sequence.n_pending().min(budget);
        let threshold = self.config.long_prefill_token_threshold;
        if threshold > 0 && self.sequences.len() > 1 {
            n_tokens = n_tokens.min(threshold);
        }
        if sequence.needs_prompt_logits() {
            let planned = schedule.plan.sequences.iter().filter(|it| it.logits == LogitRows::All);
            let n_rows: usize = planned.map(|it| it.tokens.len()).sum();
            n_tokens = n_tokens.min(MAX_PROMPT_LOGIT_ROWS - n_rows);
        }
        n_tokens
    }

    fn plan_chunk(&self, id: SequenceId, n_tokens: usize, schedule: &mut Schedule) {
        let sequence = &self.sequences[&id];
        let (start, end) = (sequence.n_computed, sequence.n_computed + n_tokens);
        let logits = if sequence.needs_prompt_logits() {
            LogitRows::All
        } else if end == sequence.tokens.len() {
            LogitRows::Last
        } else {
            LogitRows::None
        };
        let n_blocks = end.div_ceil(self.cache.block_size());
        schedule.plan.sequences.push(SequenceStep {
            id,
            tokens: sequence.tokens[start..end].to_vec(),
            start: u32::try_from(start).expect("positions are below the context length"),
            blocks: sequence.table.blocks()[..n_blocks].to_vec(),
            logits,
        });
    }
}
