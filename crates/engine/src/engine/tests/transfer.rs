//! Prefill on one engine, decode on another.

use super::*;
use crate::testing::Fate;

const BLOCK_SIZE: usize = 4;

fn pair() -> (Rig, Rig) {
    let prefill = Rig::new(BLOCK_SIZE, config(32));
    let mut decode = Rig::new(BLOCK_SIZE, config(32));
    // Both ends of one wire.
    decode.wire = prefill.wire.clone();
    decode.core.parts.connector = Some(Box::new(prefill.wire.clone()));
    (prefill, decode)
}

fn prompt(n: u32) -> Vec<u32> {
    (1..=n).map(|at| 1 + at * 5 % 39).collect()
}

fn greedy(max_tokens: u32) -> SamplingParams {
    SamplingParams { ignore_eos: true, ..SamplingParams::greedy(max_tokens) }
}

fn alone(prompt: &[u32], max_tokens: u32) -> Vec<u32> {
    let mut rig = Rig::new(BLOCK_SIZE, config(32));
    let mut client = rig.add(prompt, greedy(max_tokens));
    rig.run_until_idle();
    client.answer().token_ids()
}

/// Runs the prefill leg and returns what it hands over.
fn prefill(rig: &mut Rig, prompt: &[u32]) -> llmd_api::kv_transfer::KvTransferParams {
    let mut client = rig.add_with(prompt, greedy(1), |request| {
        request.kv_transfer.get_or_insert_default().do_remote_decode = true;
    });
    rig.run_until_idle();
    client.answer().finish.unwrap().kv_transfer.unwrap()
}

#[test]
fn decode_computes_only_the_last_prompt_token() {
    for n_prompt in [1, 3, 4, 5, 8, 13] {
        let (mut producer, mut consumer) = pair();
        let prompt = prompt(n_prompt);
        let params = prefill(&mut producer, &prompt);
        let n_blocks = prompt.len().div_ceil(BLOCK_SIZE);
        assert_eq!(producer.core.parts.scheduler.cache().n_pinned(), n_blocks, "pinned until the lease ends");

        let mut client = consumer.add_with(&prompt, greedy(6), |request| request.kv_transfer = Some(params));
        consumer.core.step();
        consumer.deliver_events();
        consumer.run_until_idle();
        let answer = client.answer();
        assert_eq!(answer.token_ids(), alone(&prompt, 6));
        assert_eq!(answer.cached_tokens, Some(n_prompt - 1));
        let transferred = r#"vllm:prompt_tokens_by_source_total{engine="0",model_name="fake",source="external_kv_transfer"}"#;
        let computed =
            r#"vllm:prompt_tokens_by_source_total{engine="0",model_name="fake",source="local_compute"}"#;
        assert!((consumer.metric(transferred) - f64::from(n_prompt - 1)).abs() < 1e-9);
        assert!((consumer.metric(computed) - 1.0).abs() < 1e-9);
        consumer.assert_empty();

        let leases = std::mem::take(&mut producer.wire.0.lock().leases);
        for lease in leases {
            producer.core.handle(Command::Transfer(crate::kv_transfer::TransferEvent::LeaseEnded { lease }));
        }
        producer.assert_empty();
    }
}

#[test]
fn a_waiting_pull_does_not_hold_up_the_batch() {
    let (mut producer, mut consumer) = pair();
    let params = prefill(&mut producer, &prompt(9));
    let mut pulling = consumer.add_with(&prompt(9), greedy(3), |request| request.kv_transfer = Some(params));
    let mut local = consumer.add(&[7, 8, 9], greedy(3));
    consumer.run_until_idle();
    assert_eq!(local.answer().reason(), Some(FinishReason::Length));
    assert_eq!(pulling.answer(), Answer::default());
    assert!(
        (consumer.metric(
            r#"vllm:num_requests_waiting_by_reason{engine="0",model_name="fake",reason="deferred"}"#
        ) - 1.0)
            .abs()
            < 1e-9
    );
    consumer.deliver_events();
    consumer.run_until_idle();
    assert_eq!(pulling.answer().token_ids(), alone(&prompt(9), 3));
}

#[test]
fn pulled_blocks_serve_the_next_request() {
    let (mut producer, mut consumer) = pair();
    let params = prefill(&mut producer, &prompt(9));
    for expected_pulls in [1, 1] {
        let params = params.clone();
        let mut client =
            consumer.add_with(&prompt(9), greedy(2), |request| request.kv_transfer = Some(params));
        consumer.core.step();
        consumer.deliver_events();
        consumer.run_until_idle();
        assert_eq!(client.answer().token_ids(), alone(&prompt(9), 2));
        assert_eq!(consumer.wire.0.lock().n_pulls, expected_pulls, "the second one found all blocks here");
    }
    consumer.assert_empty();
}

#[test]
fn every_failure_ends_in_recomputation() {
    for fate in [Fate::Fails, Fate::Refused, Fate::Short] {
        let (mut producer, mut consumer) = pair();
        prefill(&mut producer, &prompt(9));
        let mut client =
            consumer.add_with(&prompt(9), greedy(4), |request| request.kv_transfer = Some(fate.params()));
        consumer.core.step();
        consumer.deliver_events();
        consumer.run_until_idle();
        let answer = client.answer();
        assert_eq!(answer.token_ids(), alone(&prompt(9), 4), "{fate:?}");
        assert_eq!(answer.cached_tokens, Some(0), "{fate:?}");
        consumer.assert_empty();
    }
}

#[test]
fn pages_for_an_aborted_sequence_touch_nothing() {
    let (mut producer, mut consumer) = pair();
    let params = prefill(&mut producer, &prompt(9));
    let mut aborted = consumer.add_with(&prompt(9), greedy(4), |request| request.kv_transfer = Some(params));
    consumer.core.step();
    consumer.core.handle(Command::Abort(aborted.id));
    assert_eq!(aborted.answer().reason(), Some(FinishReason::Abort));
    consumer.assert_empty();
    // Takes the blocks that the pull was to fill.
    let mut other = consumer.add(&prompt(20), greedy(4));
    consumer.core.step();
    consumer.deliver_events();
    consumer.run_until_idle();
    assert_eq!(other.answer().token_ids(), alone(&prompt(20), 4));
}

#[test]
fn an_aborted_prefill_offers_nothing() {
    let (mut producer, _) = pair();
    let mut client = producer.add_with(&prompt(9), greedy(5), |request| {
        request.kv_transfer.get_or_insert_default().do_remote_decode = true;
    });
    producer.core.step();
    producer.core.handle(Command::Abort(client.id));
    let finish = client.answer().finish.unwrap();
    assert_eq!((finish.reason, finish.kv_transfer), (FinishReason::Abort, None));
    assert!(producer.wire.0.lock().leases.is_empty());
    producer.assert_empty();
}

#[test]
fn nothing_is_offered_to_a_client_that_is_gone() {
    let (mut producer, _) = pair();
    let client = producer.add_with(&prompt(9), greedy(5), |request| {
        request.kv_transfer.get_or_insert_default().do_remote_decode = true;
    });
    producer.core.step();
    let id = client.id;
    drop(client);
    producer.core.handle(Command::Finish(id));
    assert!(producer.wire.0.lock().leases.is_empty());
    producer.assert_empty();
}

#[test]
fn a_preempted_prompt_is_not_offered() {
    let mut rig = Rig::new(BLOCK_SIZE, config(4));
    let mut first = rig.add(&prompt(4), greedy(6));
    let mut second = rig.add_with(&[30, 31, 32, 33], greedy(6), |request| {
        request.kv_transfer.get_or_insert_default().do_remote_decode = true;
    });
    // Three blocks: when both need a second one, the later sequence loses its blocks.
    rig.core.step();
    rig.core.step();
    assert_eq!(rig.core.parts.scheduler.n_waiting(), 1);
    rig.core.handle(Command::Finish(second.id));
    let finish = second.answer().finish.unwrap();
    assert_eq!((finish.reason, finish.kv_transfer), (FinishReason::Stop, None));
    rig.run_until_idle();
    assert_eq!(first.answer().token_ids(), alone(&prompt(4), 6));
    rig.assert_empty();
}

#[test]
fn without_a_connector_the_prompt_is_computed_here() {
    let (_, mut consumer) = pair();
    consumer.core.parts.connector = None;
    let mut client = consumer
        .add_with(&prompt(9), greedy(4), |request| request.kv_transfer = Some(Fate::Arrives.params()));
    consumer.run_until_idle();
    assert_eq!(client.answer().token_ids(), alone(&prompt(9), 4));
}
