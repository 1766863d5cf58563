//! The engine as the server sees it: a handle, a thread, failures.

use std::time::Duration;

use super::*;
use crate::request::command_channel;
use crate::runner::{Logits, Runner, RunnerError};
use crate::step::StepPlan;
use crate::testing::{FAIL_TOKEN, PANIC_TOKEN, fake_logits};

fn spawn(config: EngineConfig) -> (EngineHandle, Registry) {
    let registry = Registry::new();
    let runner = Box::new(FakeRunner::new(4, config.n_blocks));
    let handle = Engine::spawn(runner, None, config, metrics(&registry), command_channel()).unwrap();
    (handle, registry)
}

async fn read_all(client: &mut Client) -> Answer {
    let mut answer = Answer::default();
    while let Some(output) =
        tokio::time::timeout(Duration::from_secs(10), client.receiver.recv()).await.unwrap()
    {
        answer.take(output);
    }
    answer
}

#[tokio::test]
async fn answers_and_shuts_down() {
    let (handle, registry) = spawn(config(32));
    let (request, mut client) = request(1, &[3, 4, 5], SamplingParams::greedy(1));
    handle.submit(vec![request]).unwrap();
    let answer = read_all(&mut client).await;
    let logits = fake_logits(&[3, 4, 5]);
    let best = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap();
    assert_eq!(answer.token_ids(), [best as u32]);
    assert!(handle.health().is_alive());
    handle.shutdown().await;
    handle.shutdown().await;
    assert!(!handle.health().is_alive());
    let text = llmd_common::metrics::render(&registry);
    assert!(text.contains(r#"vllm:prompt_tokens_total{engine="0",model_name="fake"} 3"#), "{text}");
    assert!(text.contains(r#"vllm:generation_tokens_total{engine="0",model_name="fake"} 1"#));
    assert!(text.contains(r#"vllm:time_to_first_token_seconds_count{engine="0",model_name="fake"} 1"#));

    let (late, _client) = super::request(2, &[3], SamplingParams::greedy(1));
    assert_eq!(handle.submit(vec![late]), Err(SubmitError::Stopped));
    assert_eq!(handle.queue().n_requests(), 0);
}

#[tokio::test]
async fn a_failed_step_ends_its_sequences_and_no_others() {
    let mut config = config(32);
    // One sequence a step.
    config.scheduler.max_num_seqs = 1;
    let (handle, _registry) = spawn(config);
    for (number, prompt, reason) in [
        (1, [5, FAIL_TOKEN], FinishReason::Error),
        (2, [5, 6], FinishReason::Length),
        (3, [5, PANIC_TOKEN], FinishReason::Error),
        (4, [5, 6], FinishReason::Length),
    ] {
        let sampling = SamplingParams { ignore_eos: true, ..SamplingParams::greedy(3) };
        let (request, mut client) = request(number, &prompt, sampling);
        handle.submit(vec![request]).unwrap();
        assert_eq!(read_all(&mut client).await.reason(), Some(reason), "{prompt:?}");
    }
    handle.shutdown().await;
}

#[tokio::test]
async fn shutdown_aborts_what_runs() {
    let (handle, _registry) = spawn(config(32));
    let sampling = SamplingParams { ignore_eos: true, ..SamplingParams::greedy(60) };
    let (running, mut client) = request(1, &[3], sampling);
    handle.submit(vec![running]).unwrap();
    handle.shutdown().await;
    let reason = read_all(&mut client).await.reason();
    assert!(matches!(reason, Some(FinishReason::Abort | FinishReason::Length)), "{reason:?}");
}

/// A runner that waits in its first step until the test lets it go on.
struct GatedRunner {
    inner: FakeRunner,
    gate: std::sync::mpsc::Receiver<()>,
}

impl Runner for GatedRunner {
    fn kv_layout(&self) -> &crate::kv_cache::KvLayout {
        self.inner.kv_layout()
    }

    fn vocab_size(&self) -> usize {
        self.inner.vocab_size()
    }

    fn step(&mut self, plan: &StepPlan, logits: &mut Logits) -> Result<(), RunnerError> {
        // A closed gate stays open.
        let _: Result<(), _> = self.gate.recv();
        self.inner.step(plan, logits)
    }

    fn read_block(&mut self, block: crate::kv_cache::BlockId) -> Arc<crate::kv_cache::KvPage> {
        self.inner.read_block(block)
    }

    fn write_block(&mut self, block: crate::kv_cache::BlockId, page: Arc<crate::kv_cache::KvPage>) {
        self.inner.write_block(block, page);
    }
}

#[tokio::test]
async fn a_full_queue_refuses_and_a_stuck_step_shows() {
    let mut config = config(32);
    config.scheduler.max_num_seqs = 1;
    config.queue = QueueLimits { max_requests: 2, max_tokens: 10 };
    let (open, gate) = std::sync::mpsc::channel();
    let runner = Box::new(GatedRunner { inner: FakeRunner::new(4, 32), gate });
    let registry = Registry::new();
    let handle = Engine::spawn(runner, None, config, metrics(&registry), command_channel()).unwrap();
    let submit = |number, n_tokens| {
        let prompt: Vec<u32> = (1..=n_tokens).collect();
        let (request, client) = request(number, &prompt, SamplingParams::greedy(1));
        handle.submit(vec![request]).map(|()| client)
    };
    let running = submit(1, 2).unwrap();
    // The first one leaves the queue when it is scheduled.
    while handle.health().n_running() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let queued = submit(2, 2).unwrap();
    assert_eq!(submit(3, 9).map(|_| ()), Err(SubmitError::QueueFull(QueueFull::Tokens { limit: 10 })),);
    let also_queued = submit(4, 2).unwrap();
    let full = submit(5, 1).map(|_| ());
    assert_eq!(full, Err(SubmitError::QueueFull(QueueFull::Requests { limit: 2 })));
    let rejected =
        r#"vllm:admission_rejections_total{engine="0",model_name="fake",reason="max_num_queued_reqs"} 1"#;
    assert!(llmd_common::metrics::render(&registry).contains(rejected));
    let later = Instant::now() + Duration::from_secs(100);
    assert!(handle.health().stalled_for(later) > Duration::from_secs(99));

    drop(open);
    for mut client in [running, queued, also_queued] {
        let reason = read_all(&mut client).await.reason();
        assert!(matches!(reason, Some(FinishReason::Length | FinishReason::Stop)), "{reason:?}");
    }
    assert_eq!(handle.queue().n_requests(), 0);
    handle.shutdown().await;
}

#[test]
fn a_prompt_the_cache_cannot_hold_is_refused() {
    let mut rig = Rig::new(4, config(3));
    assert_eq!(rig.core.parts.scheduler.max_model_len(), 8);
    let mut client = rig.add(&[1; 8], SamplingParams::greedy(1));
    assert_eq!(client.answer().reason(), Some(FinishReason::Error));
    let mut fits = rig.add(&[1; 7], SamplingParams::greedy(9));
    rig.run_until_idle();
    let answer = fits.answer();
    assert_eq!((answer.tokens.len(), answer.reason()), (1, Some(FinishReason::Length)));
    rig.assert_empty();
}

#[test]
fn a_stop_string_found_by_the_server_counts_as_stop() {
    let mut rig = Rig::new(4, config(32));
    let sampling = SamplingParams { ignore_eos: true, ..SamplingParams::greedy(50) };
    let mut client = rig.add(&[1, 2, 3], sampling);
    rig.core.step();
    rig.core.handle(Command::Finish(client.id));
    assert_eq!(client.answer().reason(), Some(FinishReason::Stop));
    rig.assert_empty();
}

#[test]
fn a_client_that_is_gone_frees_its_blocks_at_the_next_step() {
    let mut rig = Rig::new(4, config(32));
    let sampling = SamplingParams { ignore_eos: true, ..SamplingParams::greedy(50) };
    let client = rig.add(&[1, 2, 3], sampling);
    rig.core.step();
    drop(client);
    rig.core.step();
    rig.assert_empty();
    let aborted = r#"vllm:request_success_total{engine="0",finished_reason="abort",model_name="fake"}"#;
    assert!((rig.metric(aborted) - 1.0).abs() < 1e-9);
}
