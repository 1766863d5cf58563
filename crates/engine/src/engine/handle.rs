//! The server's end of an engine.

use std::sync::Arc;

use llmd_api::kv_transfer::KvTransferParams;
use tokio::sync::mpsc;

use super::health::EngineHealth;
use super::queue::{QueueFull, QueueGauge, QueueLimits};
use crate::metrics::EngineMetrics;
use crate::request::{Command, EngineRequest, SequenceId};

/// Talks to the engine thread. Clones talk to the same one.
#[derive(Debug, Clone)]
pub struct EngineHandle {
    commands: mpsc::Sender<Command>,
    queue: Arc<QueueGauge>,
    health: Arc<EngineHealth>,
    metrics: EngineMetrics,
    max_model_len: usize,
}

/// Why the engine does not take a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Too much is waiting; answer 503.
    #[error(transparent)]
    QueueFull(#[from] QueueFull),
    /// The engine thread is behind with its commands; answer 503.
    #[error("the engine is overloaded")]
    Overloaded,
    /// The engine thread has ended; answer 500.
    #[error("the engine has stopped")]
    Stopped,
}

impl EngineHandle {
    pub(super) fn new(
        commands: mpsc::Sender<Command>,
        limits: QueueLimits,
        health: Arc<EngineHealth>,
        metrics: EngineMetrics,
        max_model_len: usize,
    ) -> Self {
        Self { commands, queue: Arc::new(QueueGauge::new(limits)), health, metrics, max_model_len }
    }

    /// Queues the sequences of one client request, all or none.
    ///
    /// # Errors
    /// When the queue is full or the engine has stopped; see [`SubmitError`].
    pub fn submit(&self, sequences: Vec<EngineRequest>) -> Result<(), SubmitError> {
        let n_tokens = sequences.iter().map(|it| it.prompt.len()).sum();
        self.queue
            .enter(sequences.len(), n_tokens)
            .inspect_err(|full| self.metrics.rejected(full.reason()))?;
        let permits = self.commands.try_reserve_many(sequences.len()).map_err(|error| {
            self.queue.leave(sequences.len(), n_tokens);
            match error {
                mpsc::error::TrySendError::Full(()) => SubmitError::Overloaded,
                mpsc::error::TrySendError::Closed(()) => SubmitError::Stopped,
            }
        })?;
        for (permit, sequence) in permits.zip(sequences) {
            permit.send(Command::Add(Box::new(sequence)));
        }
        Ok(())
    }

    /// Tells the engine that holds the KV blocks of a refused request to free them. `id` is one that no sequence
    /// has.
    pub fn decline(&self, id: SequenceId, params: KvTransferParams) {
        // When the channel is full the lease ends by itself a little later.
        let _: Result<(), _> = self.commands.try_send(Command::Decline(id, Box::new(params)));
    }

    /// Drops all cached prefixes that nobody uses.
    ///
    /// # Errors
    /// When the engine has stopped or is overloaded.
    pub fn reset_prefix_cache(&self) -> Result<(), SubmitError> {
        self.commands.try_send(Command::ResetPrefixCache).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => SubmitError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => SubmitError::Stopped,
        })
    }

    /// Ends every sequence with `abort` and waits for the thread's end. Further calls return at once.
    pub async fn shutdown(&self) {
        // An engine that has stopped already has nobody to tell.
        let _: Result<(), _> = self.commands.send(Command::Stop).await;
        self.commands.closed().await;
    }

    /// The command channel, for those who bring news of their own.
    #[must_use]
    pub const fn commands(&self) -> &mpsc::Sender<Command> {
        &self.commands
    }

    /// Places in the waiting queue.
    #[must_use]
    pub const fn queue(&self) -> &Arc<QueueGauge> {
        &self.queue
    }

    /// Whether the engine gets work done.
    #[must_use]
    pub const fn health(&self) -> &Arc<EngineHealth> {
        &self.health
    }

    /// Series the server adds to.
    #[must_use]
    pub const fn metrics(&self) -> &EngineMetrics {
        &self.metrics
    }

    /// Tokens of one sequence at most, prompt and answer: the configured context, or what the KV cache holds
    /// when that is less.
    #[must_use]
    pub const fn max_model_len(&self) -> usize {
        self.max_model_len
    }
}
