//! The engine thread's core over the fake runner, driven step by step.

mod equivalence;
mod thread;
mod transfer;

use std::sync::Arc;
use std::time::Instant;

use prometheus::Registry;
use tokio::sync::mpsc;

use super::thread::{EngineParts, EngineThread};
use super::*;
use crate::kv_transfer::KvConnector;
use crate::metrics::MetricsInfo;
use crate::output::{EngineOutput, Finish, FinishReason, PositionLogprobs, SampledToken};
use crate::request::{EngineRequest, SequenceId};
use crate::sampling::SamplingParams;
use crate::scheduler::SchedulingPolicy;
use crate::testing::{FakeConnector, FakeRunner};

const EOS: u32 = 0;

fn scheduler_config() -> SchedulerConfig {
    SchedulerConfig {
        max_num_seqs: 8,
        max_num_batched_tokens: 64,
        long_prefill_token_threshold: 0,
        max_model_len: 64,
        policy: SchedulingPolicy::Fcfs,
        watermark: 0.0,
    }
}

fn config(n_blocks: usize) -> EngineConfig {
    EngineConfig {
        scheduler: scheduler_config(),
        n_blocks,
        prefix_caching: true,
        hash_seed: llmd_kv::hash::DEFAULT_SEED.to_owned(),
        eos_token_ids: vec![EOS],
        queue: QueueLimits { max_requests: 100, max_tokens: 10_000 },
    }
}

fn metrics(registry: &Registry) -> EngineMetrics {
    let info =
        MetricsInfo { model_name: "fake".to_owned(), rank: 0, max_model_len: 64, block_size: 4, n_blocks: 0 };
    EngineMetrics::new(registry, &info)
}

/// The core of an engine, without its thread.
struct Rig {
    core: EngineThread,
    wire: FakeConnector,
    registry: Registry,
    queue: Arc<QueueGauge>,
    n_requests: u64,
}

impl Rig {
    fn new(block_size: usize, config: EngineConfig) -> Self {
        let EngineConfig { scheduler, n_blocks, prefix_caching, hash_seed, eos_token_ids, queue } = config;
        let (registry, wire) = (Registry::new(), FakeConnector::default());
        let connector: Box<dyn KvConnector> = Box::new(wire.clone());
        let cache = KvCacheManager::new(n_blocks, block_size, BlockHasher::new(&hash_seed), prefix_caching);
        let queue = Arc::new(QueueGauge::new(queue));
        let core = EngineThread::new(EngineParts {
            runner: Box::new(FakeRunner::new(block_size, n_blocks)),
            connector: Some(connector),
            scheduler: Scheduler::new(scheduler, cache),
            eos_token_ids,
            metrics: metrics(&registry),
            queue: Arc::clone(&queue),
            health: Arc::new(EngineHealth::new()),
        });
        Self { core, wire, registry, queue, n_requests: 0 }
    }

    fn add(&mut self, prompt: &[u32], sampling: SamplingParams) -> Client {
        self.add_with(prompt, sampling, |_| {})
    }

    fn add_with(
        &mut self,
        prompt: &[u32],
        sampling: SamplingParams,
        change: impl FnOnce(&mut EngineRequest),
    ) -> Client {
        self.n_requests += 1;
        let (mut request, client) = request(self.n_requests, prompt, sampling);
        change(&mut request);
        self.queue.enter(1, prompt.len()).unwrap();
        self.core.handle(Command::Add(Box::new(request)));
        client
    }

    fn run_until_idle(&mut self) {
        for _ in 0..10_000 {
            if !self.core.step() {
                return;
            }
        }
        panic!("the engine never comes to rest");
    }

    /// Delivers what the wire has in store, in order.
    fn deliver_events(&mut self) {
        let events = std::mem::take(&mut self.wire.0.lock().events);
        for event in events {
            self.core.handle(Command::Transfer(event));
        }
    }

    #[track_caller]
    fn assert_empty(&self) {
        let scheduler = &self.core.parts.scheduler;
        assert_eq!((scheduler.n_running(), scheduler.n_waiting(), scheduler.n_pulling()), (0, 0, 0));
        assert_eq!(scheduler.cache().n_pinned(), 0);
        assert!(scheduler.cache().usage().abs() < 1e-12, "blocks leaked");
        assert_eq!(self.queue.n_requests(), 0);
        assert!(self.core.streams.is_empty());
        assert!(self.wire.0.lock().kept_alive.is_empty(), "a lease is kept alive for nobody");
    }

    fn metric(&self, series: &str) -> f64 {
        let text = llmd_common::metrics::render(&self.registry);
        let line =
            text.lines().find(|line| line.starts_with(series)).unwrap_or_else(|| panic!("no {series}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }
}

fn request(number: u64, prompt: &[u32], sampling: SamplingParams) -> (EngineRequest, Client) {
    let (outputs, receiver) = mpsc::channel(sampling.max_tokens as usize + 4);
    let request = EngineRequest {
        id: SequenceId(number),
        request_id: format!("request-{number}"),
        prompt: prompt.to_vec(),
        sampling,
        cache_salt: None,
        priority: 0,
        kv_transfer: None,
        arrival: Instant::now(),
        outputs,
    };
    (request, Client { id: SequenceId(number), receiver })
}

/// The receiving end of a sequence.
struct Client {
    id: SequenceId,
    receiver: mpsc::Receiver<EngineOutput>,
}

/// Everything a client got.
#[derive(Debug, Default, PartialEq)]
struct Answer {
    cached_tokens: Option<u32>,
    prompt_logprobs: Option<Vec<PositionLogprobs>>,
    tokens: Vec<SampledToken>,
    finish: Option<Finish>,
}

impl Answer {
    fn take(&mut self, output: EngineOutput) {
        assert_eq!(self.finish, None, "nothing follows the end");
        match output {
            EngineOutput::Scheduled { cached_tokens } => {
                assert_eq!(self.cached_tokens.replace(cached_tokens), None, "scheduled once");
                assert!(self.tokens.is_empty());
            }
            EngineOutput::PromptLogprobs(logprobs) => {
                assert_eq!(self.prompt_logprobs.replace(logprobs), None, "sent once");
                assert!(self.tokens.is_empty());
            }
            EngineOutput::Token(token) => {
                assert!(self.cached_tokens.is_some(), "tokens follow the scheduling");
                self.tokens.push(token);
            }
            EngineOutput::Finished(finish) => self.finish = Some(finish),
        }
    }

    fn reason(&self) -> Option<FinishReason> {
        self.finish.as_ref().map(|it| it.reason)
    }

    fn token_ids(&self) -> Vec<u32> {
        self.tokens.iter().map(|it| it.token).collect()
    }
}

impl Client {
    /// What came so far.
    fn answer(&mut self) -> Answer {
        let mut answer = Answer::default();
        while let Ok(output) = self.receiver.try_recv() {
            answer.take(output);
        }
        answer
    }
}
