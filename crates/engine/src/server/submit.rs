//! Handing sequences to the engine thread and reading their answers.
//!
//! A [`Sequence`] owns its place in the engine: dropping it, which is what happens when the client goes away, aborts
//! it there. The abort is never lost: when the command channel is full a task waits for room, at most one for each
//! live sequence.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::Stream;
use llmd_api::kv_transfer::KvTransferParams;
use llmd_tokenizer::TokenizerError;
use tokio::sync::mpsc;

use super::balance::{InRank, Ranks};
use super::error::ApiError;
use crate::engine::SubmitError;
use crate::output::{EngineOutput, FinishReason, PositionLogprobs};
use crate::request::{Command, EngineRequest, SequenceId};
use crate::sampling::SamplingParams;
use crate::text::{Assembler, Delta};

/// Events beside tokens that a sequence may send: scheduled, prompt log-probabilities, finished.
const EVENTS_BESIDE_TOKENS: usize = 8;

/// One sequence to start.
#[derive(Debug)]
pub struct Start {
    /// Number of the choice in the response.
    pub index: u32,
    /// The client's request id.
    pub request_id: String,
    /// Token ids.
    pub prompt: Vec<u32>,
    /// Checked parameters.
    pub sampling: SamplingParams,
    /// Separates the prefix cache of tenants.
    pub cache_salt: Option<String>,
    /// Lower runs earlier.
    pub priority: i32,
    /// Prefill/decode hand-over.
    pub kv_transfer: Option<KvTransferParams>,
    /// Makes the text.
    pub assembler: Assembler,
}

/// Starts sequences on one of several engines.
#[derive(Debug)]
pub struct Submitter {
    ranks: Ranks,
    next_id: AtomicU64,
}

impl Submitter {
    /// A submitter to `ranks`.
    #[must_use]
    pub const fn new(ranks: Ranks) -> Self {
        Self { ranks, next_id: AtomicU64::new(1) }
    }

    /// Where it submits to.
    #[must_use]
    pub const fn ranks(&self) -> &Ranks {
        &self.ranks
    }

    /// Starts all sequences of a request, or none of them, on one rank: `asked`, where it is here, or the least
    /// loaded. `n` is the number of choices that the request asks for.
    ///
    /// # Errors
    /// [`ApiError::QueueFull`] when there is no room, [`ApiError::EngineDead`] when nobody would compute them.
    pub fn start(&self, starts: Vec<Start>, n: u32, asked: Option<u32>) -> Result<Vec<Sequence>, ApiError> {
        let arrival = Instant::now();
        let rank = self.ranks.choose(asked);
        rank.engine.metrics().request_params_n.observe(f64::from(n));
        let (requests, parts): (Vec<_>, Vec<_>) =
            starts.into_iter().map(|it| self.request(it, arrival)).unzip();
        rank.engine.submit(requests).map_err(|error| match error {
            SubmitError::QueueFull(_) | SubmitError::Overloaded => ApiError::QueueFull(error.to_string()),
            SubmitError::Stopped => ApiError::EngineDead,
        })?;
        let sequence = |(id, index, assembler, outputs)| {
            let abort = AbortOnDrop { id, commands: Some(rank.engine.commands().clone()) };
            Sequence { index, outputs, assembler, abort, _in_rank: rank.begin() }
        };
        Ok(parts.into_iter().map(sequence).collect())
    }

    /// The request that names another engine's KV blocks is not going to run: lets that engine free them.
    pub fn decline(&self, params: KvTransferParams) {
        self.ranks.choose(None).engine.decline(self.fresh_id(), params);
    }

    fn fresh_id(&self) -> SequenceId {
        SequenceId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    fn request(&self, start: Start, arrival: Instant) -> (EngineRequest, Parts) {
        let Start { index, request_id, prompt, sampling, cache_salt, priority, kv_transfer, assembler } =
            start;
        let id = self.fresh_id();
        // Room for every token the sequence may ever send, so that the engine thread never waits.
        let (sender, outputs) = mpsc::channel(sampling.max_tokens as usize + EVENTS_BESIDE_TOKENS);
        let request = EngineRequest {
            id,
            request_id,
            prompt,
            sampling,
            cache_salt,
            priority,
            kv_transfer,
            arrival,
            outputs: sender,
        };
        (request, (id, index, assembler, outputs))
    }
}

/// What stays here of a start.
type Parts = (SequenceId, u32, Assembler, mpsc::Receiver<EngineOutput>);

/// A sequence in the engine, as a stream of what its text gains. Dropping it aborts it.
#[derive(Debug)]
pub struct Sequence {
    index: u32,
    outputs: mpsc::Receiver<EngineOutput>,
    assembler: Assembler,
    abort: AbortOnDrop,
    _in_rank: InRank,
}

/// News of one sequence.
#[derive(Debug)]
pub struct Piece {
    /// Number of the choice.
    pub index: u32,
    /// What is new.
    pub delta: Delta,
    /// Tokens sampled so far.
    pub n_tokens: u32,
    /// Prompt tokens that were not computed here.
    pub cached_tokens: u32,
    /// Once, when asked for.
    pub prompt_logprobs: Option<Vec<PositionLogprobs>>,
}

impl Sequence {
    /// Feeds one event to the text, and tells the engine when the text is complete before the engine is.
    fn take(&mut self, output: EngineOutput) -> Result<Option<Delta>, TokenizerError> {
        if matches!(output, EngineOutput::Finished(_)) {
            self.abort.disarm();
        }
        let delta = self.assembler.push(output)?;
        if self.assembler.is_finished() {
            self.abort.send(Command::Finish);
        }
        Ok(delta)
    }

    fn piece(&mut self, delta: Delta) -> Piece {
        Piece {
            index: self.index,
            delta,
            n_tokens: self.assembler.n_tokens(),
            cached_tokens: self.assembler.cached_tokens().unwrap_or(0),
            prompt_logprobs: self.assembler.take_prompt_logprobs(),
        }
    }
}

impl Stream for Sequence {
    type Item = Result<Piece, ApiError>;

    /// Everything that arrived since the last poll comes as one piece, so a slow client costs fewer events.
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut gathered: Option<Delta> = None;
        while !self.assembler.is_finished() {
            let output = match self.outputs.poll_recv(cx) {
                Poll::Ready(Some(output)) => output,
                Poll::Ready(None) => return Poll::Ready(Some(Err(ApiError::EngineDead))),
                Poll::Pending if gathered.is_some() => break,
                Poll::Pending => return Poll::Pending,
            };
            match self.take(output) {
                Ok(Some(delta)) => gathered.get_or_insert_default().append(delta),
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(error = %llmd_common::report::Report(&error), "cannot decode the answer");
                    return Poll::Ready(Some(Err(ApiError::Generation)));
                }
            }
        }
        let Some(delta) = gathered else { return Poll::Ready(None) };
        let failed = delta.ending.as_ref().is_some_and(|it| it.reason == FinishReason::Error);
        Poll::Ready(Some(if failed { Err(ApiError::Generation) } else { Ok(self.piece(delta)) }))
    }
}

/// Aborts a sequence unless the engine is done with it.
#[derive(Debug)]
struct AbortOnDrop {
    id: SequenceId,
    commands: Option<mpsc::Sender<Command>>,
}

impl AbortOnDrop {
    fn disarm(&mut self) {
        self.commands = None;
    }

    /// Sends the sequence's last command, if the engine has not ended it.
    fn send(&mut self, command: impl FnOnce(SequenceId) -> Command) {
        let Some(commands) = self.commands.take() else { return };
        let Err(mpsc::error::TrySendError::Full(command)) = commands.try_send(command(self.id)) else {
            return;
        };
        // Outside a runtime the process is ending, and the engine notices the closed output channel.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                // A closed channel means that the engine thread is gone, and the sequence with it.
                let _: Result<(), _> = commands.send(command).await;
            });
        }
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.send(Command::Abort);
    }
}
