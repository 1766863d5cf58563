//! One sequence on its way out: its sampler, its client and the times that become metrics.

use std::time::Instant;

use llmd_api::kv_transfer::KvTransferParams;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::metrics::EngineMetrics;
use crate::output::{EngineOutput, FinishReason, PositionLogprobs};
use crate::sampling::{Sampler, SamplingParams, position_logprobs};

pub(super) struct Stream {
    pub(super) request_id: String,
    pub(super) kv_transfer: Option<KvTransferParams>,
    pub(super) sampler: Sampler,
    pub(super) n_prompt: usize,
    pub(super) n_generated: usize,
    /// Prompt tokens pulled from another engine.
    pub(super) n_transferred: usize,
    pub(super) n_preemptions: u32,
    pub(super) prompt_logprobs: Vec<PositionLogprobs>,
    pub(super) times: Times,
    /// Prompt tokens that were not computed; unknown until the sequence is scheduled for the first time.
    pub(super) n_cached: Option<usize>,
    pub(super) outputs: mpsc::Sender<EngineOutput>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) arrival: Instant,
    pub(super) scheduled: Option<Instant>,
    pub(super) first_token: Option<Instant>,
    pub(super) last_token: Option<Instant>,
}

impl Stream {
    pub(super) fn params(&self) -> &SamplingParams {
        self.sampler.params()
    }

    /// Whether the prompt's blocks are to be kept for a decode engine.
    pub(super) fn offers_blocks(&self) -> bool {
        self.kv_transfer.as_ref().is_some_and(|it| it.do_remote_decode)
    }

    /// Sends an output. False when nobody reads any more.
    pub(super) fn send(&self, output: EngineOutput) -> bool {
        match self.outputs.try_send(output) {
            Ok(()) => true,
            Err(TrySendError::Closed(_)) => false,
            Err(TrySendError::Full(_)) => {
                // The channel is sized for the whole answer: its owner miscounted, and waiting would stop
                // everyone else.
                tracing::error!(
                    request_id = self.request_id,
                    "output channel is too small; sequence aborted"
                );
                false
            }
        }
    }

    /// Why `token`, the newest, ends the sequence, with the stop token to report; `None` to go on.
    pub(super) fn stop_reason(
        &self,
        token: u32,
        eos: &[u32],
        n_left_in_context: usize,
    ) -> Option<(FinishReason, Option<u32>)> {
        let params = self.params();
        let may_stop = self.n_generated >= params.min_tokens as usize;
        if may_stop && !params.ignore_eos && eos.contains(&token) {
            return Some((FinishReason::Stop, None));
        }
        if may_stop && params.stop_token_ids.binary_search(&token).is_ok() {
            return Some((FinishReason::Stop, Some(token)));
        }
        let is_used_up = self.n_generated >= params.max_tokens as usize || n_left_in_context == 0;
        is_used_up.then_some((FinishReason::Length, None))
    }

    /// Takes log-probabilities of prompt tokens from the logits of positions `start..`, one row each. Rows seen
    /// before a preemption are skipped.
    pub(super) fn collect_prompt_logprobs<'a>(
        &mut self,
        start: usize,
        rows: impl Iterator<Item = &'a [f32]>,
        tokens: &[u32],
    ) {
        let Some(k) = self.params().prompt_logprobs else { return };
        for (position, logits) in (start..).zip(rows) {
            // The logits of a position are about the token after it.
            let is_next = position == self.prompt_logprobs.len();
            if is_next && position + 1 < self.n_prompt {
                self.prompt_logprobs.push(position_logprobs(logits, tokens[position + 1], k));
            }
        }
    }

    /// Notes the newest token's time, and at the first one where the prompt came from.
    pub(super) fn note_token(&mut self, now: Instant, metrics: &EngineMetrics) {
        self.n_generated += 1;
        metrics.generation_tokens.inc();
        let times = &mut self.times;
        match times.last_token {
            Some(last) => metrics.between_tokens(now.saturating_duration_since(last)),
            None => {
                times.first_token = Some(now);
                metrics.ttft.observe(seconds_between(times.arrival, now));
                let n_cached = self.n_cached.unwrap_or(0);
                metrics.prompt_tokens.inc_by(self.n_prompt as u64);
                metrics.prompt_tokens_cached.inc_by(n_cached as u64);
                metrics.prompt_tokens_computed.inc_by((self.n_prompt - n_cached) as u64);
                metrics.prompt_tokens_transferred.inc_by(self.n_transferred as u64);
                metrics.prompt_tokens_cache_hit.inc_by((n_cached - self.n_transferred) as u64);
            }
        }
        self.times.last_token = Some(now);
    }

    /// Counts the sequence as ended.
    #[expect(clippy::cast_precision_loss, reason = "token counts stay far below 2^53")]
    pub(super) fn note_end(&self, reason: FinishReason, now: Instant, metrics: &EngineMetrics) {
        let Times { arrival, scheduled, first_token, last_token } = self.times;
        metrics.finished(reason);
        metrics.e2e.observe(seconds_between(arrival, now));
        metrics.request_prompt_tokens.observe(self.n_prompt as f64);
        metrics.request_generation_tokens.observe(self.n_generated as f64);
        metrics.request_max_tokens.observe(f64::from(self.params().max_tokens));
        metrics.request_preemptions.observe(f64::from(self.n_preemptions));
        let (Some(scheduled), Some(first), Some(last)) = (scheduled, first_token, last_token) else { return };
        metrics.queue_time.observe(seconds_between(arrival, scheduled));
        metrics.prefill_time.observe(seconds_between(scheduled, first));
        metrics.decode_time.observe(seconds_between(first, last));
        metrics.inference_time.observe(seconds_between(scheduled, last));
        metrics.request_computed_tokens.observe((self.n_prompt - self.n_cached.unwrap_or(0)) as f64);
        if self.n_generated > 1 {
            let mean = seconds_between(first, last) / (self.n_generated - 1) as f64;
            metrics.request_time_per_token.observe(mean);
        }
    }
}

fn seconds_between(start: Instant, end: Instant) -> f64 {
    end.saturating_duration_since(start).as_secs_f64()
}
