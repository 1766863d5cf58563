//! The engine: one thread that owns the scheduler, the runner and every sequence.
//!
//! It takes commands from a channel, computes a step, samples, sends out what came of it, and starts again. It
//! never awaits and never spins: with nothing to compute it sleeps on the channel. Outputs go into channels
//! that hold a whole answer, so a slow client delays nobody, and a client that is gone is noticed at the next
//! step.
//!
//! A step that fails or panics ends the sequences it computed and nothing else. A panic anywhere else ends the
//! thread, and [`EngineHealth`] says so.

mod handle;
mod health;
mod queue;
mod stream;
mod thread;
mod transfer;

use std::sync::Arc;

use llmd_kv::hash::BlockHasher;
use tokio::sync::mpsc;

pub use handle::{EngineHandle, SubmitError};
pub use health::EngineHealth;
pub use queue::{QueueFull, QueueGauge, QueueLimits};

use crate::kv_cache::KvCacheManager;
use crate::kv_transfer::KvConnector;
use crate::metrics::EngineMetrics;
use crate::request::Command;
use crate::runner::Runner;
use crate::scheduler::{Scheduler, SchedulerConfig};
use thread::{EngineParts, EngineThread};

/// How an engine runs.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Limits of a step.
    pub scheduler: SchedulerConfig,
    /// KV blocks, the null block included; at least 2 and what the runner was sized for.
    pub n_blocks: usize,
    /// Whether prompts reuse the blocks of earlier ones.
    pub prefix_caching: bool,
    /// Seed of the block hashes; see [`llmd_kv::hash::DEFAULT_SEED`].
    pub hash_seed: String,
    /// The model's end-of-sequence tokens.
    pub eos_token_ids: Vec<u32>,
    /// Limits of the waiting queue.
    pub queue: QueueLimits,
}

/// Starts engines.
#[derive(Debug)]
pub struct Engine;

impl Engine {
    /// Starts the engine thread over the two ends of [`crate::request::command_channel`].
    ///
    /// # Errors
    /// When the operating system refuses a thread.
    pub fn spawn(
        runner: Box<dyn Runner>,
        connector: Option<Box<dyn KvConnector>>,
        config: EngineConfig,
        metrics: EngineMetrics,
        (commands, mut inbox): (mpsc::Sender<Command>, mpsc::Receiver<Command>),
    ) -> std::io::Result<EngineHandle> {
        let EngineConfig { scheduler, n_blocks, prefix_caching, hash_seed, eos_token_ids, queue } = config;
        let hasher = BlockHasher::new(&hash_seed);
        let block_size = runner.kv_layout().block_size;
        let cache = KvCacheManager::new(n_blocks, block_size, hasher, prefix_caching);
        let asked = scheduler.max_model_len;
        let scheduler = Scheduler::new(scheduler, cache);
        let max_model_len = scheduler.max_model_len();
        if max_model_len < asked {
            tracing::warn!(
                asked,
                max_model_len,
                "the KV cache holds less than the context; give it more memory"
            );
        }
        let health = Arc::new(EngineHealth::new());
        let handle = EngineHandle::new(commands, queue, Arc::clone(&health), metrics.clone(), max_model_len);
        let parts = EngineParts {
            runner,
            connector,
            scheduler,
            eos_token_ids,
            metrics,
            queue: Arc::clone(handle.queue()),
            health: Arc::clone(&health),
        };
        std::thread::Builder::new().name("engine".to_owned()).spawn(move || {
            // Lives to the end of the thread, in a panic too.
            let _alive = health.alive();
            run(EngineThread::new(parts), &mut inbox);
        })?;
        Ok(handle)
    }
}

/// Serves commands until told to stop or until nobody can send any more.
fn run(mut thread: EngineThread, inbox: &mut mpsc::Receiver<Command>) {
    let mut has_work = false;
    loop {
        if !has_work {
            match inbox.blocking_recv() {
                Some(Command::Stop) | None => break,
                Some(command) => thread.handle(command),
            }
        }
        loop {
            match inbox.try_recv() {
                Ok(Command::Stop) => return thread.stop(),
                Ok(command) => thread.handle(command),
                Err(_) => break,
            }
        }
        has_work = thread.step();
    }
    thread.stop();
}

#[cfg(test)]
mod tests;
