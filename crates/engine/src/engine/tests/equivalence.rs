//! Whatever happens around a sequence, its answer is the one it would get alone.

use proptest::prelude::*;

use super::*;
use crate::kv_transfer::TransferEvent;
use crate::sampling::{Sampler, position_logprobs};
use crate::testing::{Fate, fake_logits, fake_pages};

/// The answer by definition: no cache, no batch, no engine.
fn answer_alone(prompt: &[u32], sampling: &SamplingParams, max_model_len: usize) -> Answer {
    let mut answer = Answer::default();
    if prompt.len() >= max_model_len {
        answer.finish = Some(Finish { reason: FinishReason::Error, stop_token: None, kv_transfer: None });
        return answer;
    }
    answer.prompt_logprobs = sampling.prompt_logprobs.map(|k| {
        let positions = 1..prompt.len();
        positions.map(|at| position_logprobs(&fake_logits(&prompt[..at]), prompt[at], k)).collect()
    });
    let mut sampler = Sampler::new(sampling.clone(), prompt, &[EOS], 0);
    let mut tokens = prompt.to_vec();
    while answer.finish.is_none() {
        let sampled = sampler.sample(&mut fake_logits(&tokens), &tokens).unwrap();
        let token = sampled.token;
        tokens.push(token);
        answer.tokens.push(sampled);
        let n_generated = answer.tokens.len();
        let may_stop = n_generated >= sampling.min_tokens as usize;
        let (reason, stop_token) = if may_stop && token == EOS && !sampling.ignore_eos {
            (FinishReason::Stop, None)
        } else if may_stop && sampling.stop_token_ids.contains(&token) {
            (FinishReason::Stop, Some(token))
        } else if n_generated == sampling.max_tokens as usize || tokens.len() == max_model_len {
            (FinishReason::Length, None)
        } else {
            continue;
        };
        answer.finish = Some(Finish { reason, stop_token, kv_transfer: None });
    }
    answer
}

#[derive(Debug, Clone)]
struct Spec {
    prompt: Vec<u32>,
    sampling: SamplingParams,
    priority: i32,
    fate: Option<Fate>,
    offers: bool,
    salt: Option<String>,
}

#[derive(Debug, Clone)]
enum Action {
    Add(Box<Spec>),
    Steps(usize),
    Abort(usize),
    Finish(usize),
    Hang(usize),
    Deliver(usize),
    EndLease(usize),
    Reset,
}

/// Prompts share beginnings, so that they find each other's blocks.
fn prompt() -> impl Strategy<Value = Vec<u32>> {
    let text = (0..3_u32, 0..14_usize)
        .prop_map(|(text, n)| (0..n as u32).map(|at| 1 + (text * 7 + at) % 39).collect());
    (text, prop::collection::vec(1..40_u32, 1..4)).prop_map(|(mut tokens, tail): (Vec<u32>, _)| {
        tokens.extend(tail);
        tokens
    })
}

fn sampling() -> impl Strategy<Value = SamplingParams> {
    let random = (any::<bool>(), any::<u64>(), prop::option::of(1..10_u32), 0.3_f32..=1.0);
    let shape = (1..12_u32, 0..4_u32, any::<bool>(), prop::collection::vec(0..40_u32, 0..3));
    let extras =
        (prop::option::of(0..4_u32), prop::option::weighted(0.2, 0..3_u32), 0.8_f32..1.5, -1.0_f32..1.0);
    (random, shape, extras).prop_map(|(random, shape, extras)| {
        let (is_greedy, seed, top_k, top_p) = random;
        let (max_tokens, min_tokens, ignore_eos, mut stop_token_ids) = shape;
        stop_token_ids.sort_unstable();
        let (logprobs, prompt_logprobs, repetition_penalty, presence_penalty) = extras;
        SamplingParams {
            temperature: if is_greedy { 0.0 } else { 0.8 },
            seed: Some(seed),
            top_k,
            top_p,
            min_tokens: min_tokens.min(max_tokens),
            ignore_eos,
            stop_token_ids: stop_token_ids.into(),
            logprobs,
            prompt_logprobs,
            repetition_penalty,
            presence_penalty,
            ..SamplingParams::greedy(max_tokens)
        }
    })
}

fn spec() -> impl Strategy<Value = Spec> {
    let fate = prop_oneof![
        3 => Just(None),
        3 => Just(Some(Fate::Arrives)),
        1 => Just(Some(Fate::Fails)),
        1 => Just(Some(Fate::Refused)),
        1 => Just(Some(Fate::Short)),
    ];
    (prompt(), sampling(), -2..3_i32, fate, any::<bool>(), any::<bool>()).prop_map(
        |(prompt, sampling, priority, fate, offers, is_salted)| Spec {
            prompt,
            sampling,
            priority,
            fate,
            offers,
            salt: is_salted.then(|| "tenant".to_owned()),
        },
    )
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => spec().prop_map(|spec| Action::Add(Box::new(spec))),
        8 => (1..5_usize).prop_map(Action::Steps),
        1 => any::<usize>().prop_map(Action::Abort),
        1 => any::<usize>().prop_map(Action::Finish),
        1 => any::<usize>().prop_map(Action::Hang),
        3 => any::<usize>().prop_map(Action::Deliver),
        2 => any::<usize>().prop_map(Action::EndLease),
        1 => Just(Action::Reset),
    ]
}

fn engine_config() -> impl Strategy<Value = (usize, EngineConfig)> {
    let sizes = (1..6_usize, 2..20_usize);
    let limits = (1..6_usize, 1..24_usize, 0..4_usize);
    (sizes, limits, any::<bool>(), any::<bool>(), 0.0..0.3).prop_map(
        |(sizes, limits, by_priority, caches, watermark)| {
            let (block_size, n_blocks) = sizes;
            let (max_num_seqs, max_num_batched_tokens, long_prefill_token_threshold) = limits;
            let scheduler = SchedulerConfig {
                max_num_seqs,
                max_num_batched_tokens,
                long_prefill_token_threshold,
                policy: if by_priority { SchedulingPolicy::Priority } else { SchedulingPolicy::Fcfs },
                watermark,
                ..scheduler_config()
            };
            (block_size, EngineConfig { scheduler, prefix_caching: caches, ..config(n_blocks) })
        },
    )
}

/// A sequence in the test: what was asked, who reads, and what came so far.
struct Live {
    spec: Spec,
    client: Option<Client>,
    is_cut: bool,
}

fn add(rig: &mut Rig, block_size: usize, spec: Spec) -> Live {
    let hashes = BlockHasher::default().all_blocks(&spec.prompt, block_size, spec.salt.as_deref());
    rig.wire.0.lock().pages.extend(hashes.into_iter().zip(fake_pages(&spec.prompt, block_size)));
    let client = rig.add_with(&spec.prompt, spec.sampling.clone(), |request| {
        request.priority = spec.priority;
        request.cache_salt = spec.salt.clone();
        request.kv_transfer = spec.fate.map(Fate::params);
        if spec.offers {
            request.kv_transfer.get_or_insert_default().do_remote_decode = true;
        }
    });
    Live { spec, client: Some(client), is_cut: false }
}

fn act(rig: &mut Rig, live: &mut Vec<Live>, block_size: usize, action: Action) {
    match action {
        Action::Add(spec) => live.push(add(rig, block_size, *spec)),
        Action::Steps(n) => {
            for _ in 0..n {
                rig.core.step();
            }
        }
        Action::Abort(at) if !live.is_empty() => cut(rig, live, at, Command::Abort),
        Action::Finish(at) if !live.is_empty() => cut(rig, live, at, Command::Finish),
        Action::Hang(at) if !live.is_empty() => {
            let at = at % live.len();
            live[at].client = None;
        }
        Action::Deliver(at) => {
            let event = {
                let events = &mut rig.wire.0.lock().events;
                (!events.is_empty()).then(|| events.swap_remove(at % events.len().max(1)))
            };
            if let Some(event) = event {
                rig.core.handle(Command::Transfer(event));
            }
        }
        Action::EndLease(at) => end_lease(rig, at),
        Action::Reset => rig.core.handle(Command::ResetPrefixCache),
        Action::Abort(_) | Action::Finish(_) | Action::Hang(_) => {}
    }
}

/// Ends a sequence before its time.
fn cut(rig: &mut Rig, live: &mut [Live], at: usize, command: impl FnOnce(SequenceId) -> Command) {
    let at = at % live.len();
    live[at].is_cut = true;
    if let Some(client) = &live[at].client {
        rig.core.handle(command(client.id));
    }
}

fn end_lease(rig: &mut Rig, at: usize) {
    let lease = {
        let leases = &mut rig.wire.0.lock().leases;
        (!leases.is_empty()).then(|| leases.swap_remove(at % leases.len().max(1)))
    };
    if let Some(lease) = lease {
        rig.core.handle(Command::Transfer(TransferEvent::LeaseEnded { lease }));
    }
}

/// Lets everything that is under way come to its end.
fn settle(rig: &mut Rig) {
    for _ in 0..10_000 {
        let has_worked = rig.core.step();
        rig.deliver_events();
        let n_leases = rig.wire.0.lock().leases.len();
        if n_leases > 0 && !has_worked {
            end_lease(rig, 0);
        } else if !has_worked && rig.core.streams.is_empty() {
            return;
        }
    }
    panic!("the engine does not come to its end");
}

fn check_answer(mut live: Live, max_model_len: usize) -> Result<(), TestCaseError> {
    let Some(mut client) = live.client.take() else { return Ok(()) };
    let Spec { prompt, sampling, offers, .. } = live.spec;
    let mut actual = client.answer();
    let expected = answer_alone(&prompt, &sampling, max_model_len);
    if live.is_cut && actual.tokens.len() < expected.tokens.len() {
        prop_assert!(expected.tokens.starts_with(&actual.tokens), "{actual:?}\nis no part of\n{expected:?}");
        return Ok(());
    }
    let finish = actual.finish.as_mut().unwrap();
    let offered = finish.kv_transfer.take();
    let is_complete = matches!(finish.reason, FinishReason::Stop | FinishReason::Length);
    prop_assert_eq!(offered.is_some(), offers && is_complete);
    actual.cached_tokens = None;
    prop_assert_eq!(actual, expected);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn answers_do_not_depend_on_what_else_happens(
        (block_size, config) in engine_config(),
        actions in prop::collection::vec(action(), 1..40),
    ) {
        let mut rig = Rig::new(block_size, config);
        let max_model_len = rig.core.parts.scheduler.max_model_len();
        let mut live = Vec::new();
        for action in actions {
            act(&mut rig, &mut live, block_size, action);
        }
        settle(&mut rig);
        rig.assert_empty();
        for it in live {
            check_answer(it, max_model_len)?;
        }
    }
}
