//! What the engine thread owns, and what it does with a command and in a step. Tests drive it without a thread.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use super::health::EngineHealth;
use super::queue::QueueGauge;
use super::stream::{Stream, Times};
use crate::kv_transfer::{KvConnector, TransferEvent};
use crate::metrics::EngineMetrics;
use crate::output::{EngineOutput, Finish, FinishReason, SampledToken};
use crate::request::{Command, EngineRequest, SequenceId};
use crate::runner::{Logits, Runner, RunnerError};
use crate::sampling::Sampler;
use crate::scheduler::{Admission, NewSequence, Schedule, Scheduler};
use crate::step::{LogitRows, SequenceStep, StepPlan};

/// What an engine is made of.
pub(super) struct EngineParts {
    pub(super) runner: Box<dyn Runner>,
    pub(super) connector: Option<Box<dyn KvConnector>>,
    pub(super) scheduler: Scheduler,
    pub(super) eos_token_ids: Vec<u32>,
    pub(super) metrics: EngineMetrics,
    pub(super) queue: Arc<QueueGauge>,
    pub(super) health: Arc<EngineHealth>,
}

pub(super) struct EngineThread {
    pub(super) parts: EngineParts,
    /// Every live sequence; bounded as the waiting queue and the batch are.
    pub(super) streams: HashMap<SequenceId, Stream>,
    logits: Logits,
}

impl EngineThread {
    pub(super) fn new(parts: EngineParts) -> Self {
        Self { parts, streams: HashMap::new(), logits: Logits::default() }
    }

    pub(super) fn handle(&mut self, command: Command) {
        match command {
            Command::Add(request) => self.add(*request),
            Command::Abort(id) => self.finish(id, FinishReason::Abort, None),
            Command::Finish(id) => self.finish(id, FinishReason::Stop, None),
            Command::Decline(id, params) => self.decline_remote(id, &params),
            Command::Transfer(TransferEvent::PullEnded { id, result }) => self.end_pull(id, result),
            Command::Transfer(TransferEvent::LeaseEnded { lease }) => self.parts.scheduler.unpin(lease),
            Command::ResetPrefixCache => self.parts.scheduler.reset_prefix_cache(),
            Command::Stop => self.stop(),
        }
        self.update_gauges();
    }

    /// Ends every sequence.
    pub(super) fn stop(&mut self) {
        let ids: Vec<SequenceId> = self.streams.keys().copied().collect();
        for id in ids {
            self.finish(id, FinishReason::Abort, None);
        }
        self.update_gauges();
    }

    /// Computes one step. False when there is nothing to compute until a command brings news.
    pub(super) fn step(&mut self) -> bool {
        self.abort_unread();
        let mut schedule = self.parts.scheduler.schedule();
        let is_idle = schedule.is_idle();
        self.note_schedule(&schedule);
        for pull in std::mem::take(&mut schedule.pulls) {
            self.start_pull(pull);
        }
        if !schedule.plan.sequences.is_empty() {
            self.compute(&schedule.plan);
        }
        self.update_gauges();
        !is_idle || self.parts.scheduler.n_running() > 0
    }

    fn add(&mut self, request: EngineRequest) {
        let EngineRequest {
            id,
            request_id,
            prompt,
            sampling,
            cache_salt,
            priority,
            kv_transfer,
            arrival,
            outputs,
        } = request;
        let n_prompt = prompt.len();
        if self.streams.contains_key(&id) {
            tracing::error!(request_id, id = id.0, "sequence dropped: its id is in use");
            return self.parts.queue.leave(1, n_prompt);
        }
        let remote_prefill = self.awaits_remote_prefill(id, kv_transfer.as_ref());
        let prompt_logits = sampling.prompt_logprobs.is_some();
        let stream = Stream {
            request_id,
            kv_transfer,
            sampler: Sampler::new(sampling, &prompt, &self.parts.eos_token_ids, rand::random()),
            n_prompt,
            n_generated: 0,
            n_transferred: 0,
            n_preemptions: 0,
            prompt_logprobs: Vec::new(),
            times: Times { arrival, scheduled: None, first_token: None, last_token: None },
            n_cached: None,
            outputs,
        };
        let new = NewSequence { id, prompt, priority, cache_salt, remote_prefill, prompt_logits };
        let added = self.parts.scheduler.add(new);
        if let Err(error) = added {
            tracing::warn!(request_id = stream.request_id, %error, "sequence refused");
            if remote_prefill {
                self.cancel_remote(id);
            }
        }
        self.streams.insert(id, stream);
        if added.is_err() {
            self.finish(id, FinishReason::Error, None);
        }
    }

    /// Ends sequences whose client is gone.
    fn abort_unread(&mut self) {
        let unread = self.streams.iter().filter(|(_, it)| it.outputs.is_closed()).map(|(id, _)| *id);
        for id in unread.collect::<Vec<_>>() {
            self.finish(id, FinishReason::Abort, None);
        }
    }

    fn note_schedule(&mut self, schedule: &Schedule) {
        for admission in &schedule.admitted {
            self.note_admission(*admission);
        }
        for id in &schedule.found_locally {
            self.release_remote(*id);
        }
        for id in &schedule.preempted {
            self.parts.metrics.preemptions.inc();
            if let Some(stream) = self.streams.get_mut(id) {
                stream.n_preemptions += 1;
            }
        }
    }

    /// A sequence joined the batch. Only the first time counts: later ones follow a preemption.
    pub(super) fn note_admission(&mut self, admission: Admission) {
        let Admission { id, n_cached, n_transferred } = admission;
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if stream.n_cached.is_some() {
            return;
        }
        stream.n_cached = Some(n_cached);
        stream.n_transferred = n_transferred;
        stream.times.scheduled = Some(Instant::now());
        self.parts.queue.leave(1, stream.n_prompt);
        let metrics = &self.parts.metrics;
        if stream.params().prompt_logprobs.is_none() {
            metrics.prefix_cache_queries.inc_by(stream.n_prompt as u64);
            metrics.prefix_cache_hits.inc_by((n_cached - n_transferred) as u64);
        }
        let cached_tokens = u32::try_from(n_cached).unwrap_or(u32::MAX);
        // A client that is gone is noticed by the next step.
        let _is_read = stream.send(EngineOutput::Scheduled { cached_tokens });
    }

    #[expect(clippy::cast_precision_loss, reason = "token counts stay far below 2^53")]
    fn compute(&mut self, plan: &StepPlan) {
        let parts = &mut self.parts;
        parts.health.note_running(Instant::now(), parts.scheduler.n_running());
        let result = run_step(parts.runner.as_mut(), plan, &mut self.logits);
        let now = Instant::now();
        match result {
            Ok(()) => {
                self.parts.scheduler.complete(plan);
                self.take_tokens(plan, now);
            }
            Err(error) => {
                tracing::error!(%error, n_sequences = plan.sequences.len(), "step failed");
                for step in &plan.sequences {
                    self.finish(step.id, FinishReason::Error, None);
                }
            }
        }
        self.parts.metrics.iteration_tokens.observe(plan.n_tokens() as f64);
        self.parts.health.step_ended(now, self.parts.scheduler.n_running());
    }

    /// Samples for every sequence that has caught up.
    fn take_tokens(&mut self, plan: &StepPlan, now: Instant) {
        let mut row = 0;
        for step in &plan.sequences {
            let n_rows = step.logits.count(step.tokens.len());
            self.take_token(step, row, now);
            row += n_rows;
        }
    }

    /// Samples from the last of the sequence's rows, which begin at `first_row`.
    fn take_token(&mut self, step: &SequenceStep, first_row: usize, now: Instant) {
        let id = step.id;
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let n_rows = step.logits.count(step.tokens.len());
        let tokens = self.parts.scheduler.tokens(id);
        if step.logits == LogitRows::All {
            let rows = (first_row..first_row + n_rows).map(|row| self.logits.row(row));
            stream.collect_prompt_logprobs(step.start as usize, rows, tokens);
        }
        if !self.parts.scheduler.has_caught_up(id) {
            return;
        }
        let vocab_size = self.logits.vocab_size;
        let last_row = &mut self.logits.values[(first_row + n_rows - 1) * vocab_size..][..vocab_size];
        match stream.sampler.sample(last_row, tokens) {
            Ok(sampled) => self.deliver(id, sampled, now),
            Err(error) => {
                tracing::error!(request_id = stream.request_id, %error, "cannot sample");
                self.finish(id, FinishReason::Error, None);
            }
        }
    }

    fn deliver(&mut self, id: SequenceId, sampled: SampledToken, now: Instant) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let token = sampled.token;
        self.parts.scheduler.push_token(id, token);
        let prompt_logprobs = match stream.n_generated {
            0 if stream.params().prompt_logprobs.is_some() => {
                Some(std::mem::take(&mut stream.prompt_logprobs))
            }
            _ => None,
        };
        stream.note_token(now, &self.parts.metrics);
        let is_read = prompt_logprobs.is_none_or(|it| stream.send(EngineOutput::PromptLogprobs(it)))
            && stream.send(EngineOutput::Token(sampled));
        if !is_read {
            return self.finish(id, FinishReason::Abort, None);
        }
        let n_tokens = stream.n_prompt + stream.n_generated;
        let n_left = self.parts.scheduler.max_model_len().saturating_sub(n_tokens);
        if let Some((reason, stop_token)) = stream.stop_reason(token, &self.parts.eos_token_ids, n_left) {
            self.finish(id, reason, stop_token);
        }
    }

    /// Ends a sequence in any phase. Unknown ids are ignored: they ended before.
    pub(super) fn finish(&mut self, id: SequenceId, reason: FinishReason, stop_token: Option<u32>) {
        let Some(stream) = self.streams.remove(&id) else { return };
        let is_complete = matches!(reason, FinishReason::Stop | FinishReason::Length);
        // Nobody but the client can tell a decode engine where the blocks are.
        let is_awaited = is_complete && !stream.outputs.is_closed();
        let kv_transfer = if is_awaited { self.offer_prompt(id, &stream) } else { None };
        if self.parts.scheduler.awaits_remote(id) {
            self.cancel_remote(id);
        }
        self.parts.scheduler.remove(id);
        if stream.n_cached.is_none() {
            self.parts.queue.leave(1, stream.n_prompt);
        }
        stream.note_end(reason, Instant::now(), &self.parts.metrics);
        // When nobody reads any more, nobody misses the end.
        let _is_read = stream.send(EngineOutput::Finished(Finish { reason, stop_token, kv_transfer }));
    }

    fn update_gauges(&self) {
        self.parts.health.note_running(Instant::now(), self.parts.scheduler.n_running());
        let EngineParts { scheduler, metrics, .. } = &self.parts;
        let gauge = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        metrics.running.set(gauge(scheduler.n_running()));
        metrics.waiting.set(gauge(scheduler.n_waiting() + scheduler.n_pulling()));
        metrics.waiting_for_capacity.set(gauge(scheduler.n_waiting()));
        metrics.waiting_for_remote.set(gauge(scheduler.n_pulling()));
        metrics.kv_cache_usage.set(scheduler.cache().usage());
    }
}

/// Runs a step and turns a panic or a wrong amount of logits into an error.
fn run_step(runner: &mut dyn Runner, plan: &StepPlan, logits: &mut Logits) -> Result<(), RunnerError> {
    catch_unwind(AssertUnwindSafe(|| runner.step(plan, logits)))
        .unwrap_or_else(|panic| Err(RunnerError::Device(format!("panicked: {}", panic_message(&*panic)))))?;
    let expected = plan.n_logit_rows() * logits.vocab_size;
    if logits.values.len() < expected {
        return Err(RunnerError::Device(format!("{} logits instead of {expected}", logits.values.len())));
    }
    Ok(())
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
