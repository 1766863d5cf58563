use proptest::prelude::*;

use super::*;

const EOS: u32 = 3;

fn greedy() -> SamplingParams {
    SamplingParams::greedy(100)
}

fn random(seed: u64) -> SamplingParams {
    SamplingParams { temperature: 1.0, seed: Some(seed), ..greedy() }
}

/// Greedy choice after the prompt `[1]` and `generated`.
#[track_caller]
fn check_greedy(params: SamplingParams, generated: &[u32], logits: &[f32], expected: u32) {
    let mut sampler = Sampler::new(params, &[1], &[EOS], 0);
    let mut tokens = vec![1];
    for &token in generated {
        sampler.penalties.count(token);
        tokens.push(token);
    }
    assert_eq!(sampler.sample(&mut logits.to_vec(), &tokens).unwrap().token, expected);
}

#[test]
fn greedy_takes_the_lowest_of_equal_tokens() {
    check_greedy(greedy(), &[], &[0.0, 2.0, 2.0, 1.0], 1);
    check_greedy(greedy(), &[], &[f32::NAN, -5.0, f32::NEG_INFINITY], 1);
}

#[test]
fn only_allowed_tokens_follow() {
    let params = |allowed: &[u32]| SamplingParams { allowed_token_ids: Some(allowed.into()), ..greedy() };
    check_greedy(params(&[0, 2]), &[], &[0.0, 9.0, 1.0, 9.0], 2);
    check_greedy(params(&[0, 99]), &[], &[0.0, 9.0, 1.0, 9.0], 0);
}

#[test]
fn bad_words_are_cut_at_their_last_token() {
    let params = |words: &[&[u32]]| SamplingParams {
        bad_words: words.iter().map(|it| it.to_vec()).collect(),
        ..greedy()
    };
    let logits = [0.0, 1.0, 9.0, 8.0];
    check_greedy(params(&[&[2]]), &[], &logits, 3);
    check_greedy(params(&[&[0, 1, 2]]), &[0, 1], &logits, 3);
    check_greedy(params(&[&[0, 1, 2]]), &[1, 0], &logits, 2);
    // The prompt does not count: its token 1 is no beginning of the word.
    check_greedy(params(&[&[1, 2]]), &[], &logits, 2);
}

#[test]
fn ends_are_masked_up_to_the_minimum_length() {
    let params = SamplingParams { min_tokens: 2, stop_token_ids: [2].into(), ..greedy() };
    let logits = [0.0, 1.0, 8.0, 9.0];
    check_greedy(params.clone(), &[], &logits, 1);
    check_greedy(params.clone(), &[5], &logits, 1);
    check_greedy(params, &[5, 5], &logits, 3);
}

#[test]
fn bias_is_added() {
    let params = SamplingParams { logit_bias: [(0, 5.0), (1, -100.0), (77, 1.0)].into(), ..greedy() };
    check_greedy(params, &[], &[0.0, 9.0, 4.0], 0);
}

#[test]
fn repetition_counts_the_prompt_and_follows_the_sign() {
    let params = SamplingParams { repetition_penalty: 2.0, ..greedy() };
    // Token 1 stands in the prompt: 3.0 becomes 1.5.
    check_greedy(params.clone(), &[], &[0.0, 3.0, 2.0], 2);
    // Negative logits are multiplied: -1 becomes -2.
    check_greedy(params.clone(), &[], &[-3.0, -1.0, -1.5], 2);
    // In prompt and answer alike it is applied once: 3.0 becomes 1.5, not 0.75.
    check_greedy(params, &[1], &[1.0, 3.0, 1.2], 1);
}

#[test]
fn no_repetition_penalty_leaves_the_finite_numbers() {
    for repetition_penalty in [f32::MIN_POSITIVE, 1e-45, f32::MAX] {
        let params = SamplingParams { repetition_penalty, presence_penalty: -2.0, ..greedy() };
        let expected = if repetition_penalty < 1.0 { 1 } else { 2 };
        check_greedy(params, &[1], &[-1.0, 3.0, 2.5, f32::NEG_INFINITY], expected);
    }
}

#[test]
fn frequency_grows_with_the_count_and_presence_does_not() {
    let logits = [1.0, 0.0, 2.0];
    let frequency = SamplingParams { frequency_penalty: 0.6, ..greedy() };
    check_greedy(frequency.clone(), &[2], &logits, 2);
    check_greedy(frequency, &[2, 2], &logits, 0);
    let presence = SamplingParams { presence_penalty: 0.9, ..greedy() };
    check_greedy(presence.clone(), &[2, 2, 2], &logits, 2);
    // The prompt's token 1 is not penalised.
    check_greedy(presence, &[], &[0.0, 0.5, 0.4], 1);
}

#[test]
fn no_candidate_is_an_error_and_not_a_token() {
    let mut sampler = Sampler::new(greedy(), &[1], &[], 0);
    assert_eq!(sampler.sample(&mut [f32::NAN; 4], &[1]), Err(NoCandidate));
    assert_eq!(sampler.sample(&mut [f32::NEG_INFINITY; 4], &[1]), Err(NoCandidate));
    assert_eq!(sampler.sample(&mut [0.0, f32::INFINITY], &[1]), Err(NoCandidate));
}

#[test]
fn logprobs_are_those_of_the_raw_logits() {
    let params = SamplingParams { logprobs: Some(2), logit_bias: [(0, 50.0)].into(), ..greedy() };
    let mut sampler = Sampler::new(params, &[1], &[], 0);
    let logits = [1.0_f32, 3.0, 2.0, 3.0];
    let normalizer = logits.iter().map(|it| f64::from(*it).exp()).sum::<f64>().ln();
    let sampled = sampler.sample(&mut logits.to_vec(), &[1]).unwrap();
    let logprobs = sampled.logprobs.unwrap();
    assert_eq!((sampled.token, logprobs.chosen.token, logprobs.chosen.rank), (0, 0, 4));
    assert!((f64::from(logprobs.chosen.logprob) - (1.0 - normalizer)).abs() < 1e-6);
    let top: Vec<_> = logprobs.top.iter().map(|it| (it.token, it.rank)).collect();
    assert_eq!(top, [(1, 1), (3, 2)]);
    assert!((f64::from(logprobs.top[0].logprob) - (3.0 - normalizer)).abs() < 1e-6);
}

#[test]
fn a_seeded_draw_depends_on_seed_and_position_alone() {
    let logits: Vec<f32> = (0..1000).map(|at| f32::from(at as u16 % 17) / 8.0).collect();
    let draw = |seed, random_seed, tokens: &[u32]| {
        let mut sampler = Sampler::new(random(seed), &tokens[..1], &[], random_seed);
        sampler.sample(&mut logits.clone(), tokens).unwrap().token
    };
    let draws: Vec<u32> = (2..40).map(|n| draw(7, 1, &vec![1; n])).collect();
    let again: Vec<u32> = (2..40).map(|n| draw(7, 2, &vec![5; n])).collect();
    assert_eq!(draws, again);
    let other_seed: Vec<u32> = (2..40).map(|n| draw(8, 1, &vec![1; n])).collect();
    assert_ne!(draws, other_seed);
    assert!(draws.iter().collect::<std::collections::HashSet<_>>().len() > 20, "positions differ: {draws:?}");
}

/// The probability of each token by the textbook: sort everything, cut, renormalise.
fn expected_probabilities(logits: &[f32], params: &SamplingParams) -> Vec<f64> {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]).then(a.cmp(b)));
    let best = f64::from(logits[order[0]]);
    let weight = |at: usize| ((f64::from(logits[at]) - best) / f64::from(params.temperature)).exp();
    order.retain(|&at| weight(at) >= f64::from(params.min_p));
    order.truncate(params.top_k.map_or(usize::MAX, |k| k as usize));
    let total: f64 = order.iter().map(|&at| weight(at)).sum();
    let mut mass = 0.0;
    let mut probabilities = vec![0.0; logits.len()];
    for at in order {
        if mass >= f64::from(params.top_p) * total {
            break;
        }
        mass += weight(at);
        probabilities[at] = weight(at);
    }
    probabilities.iter().map(|it| it / mass).collect()
}

/// Shares of the tokens over a grid of draws. The grid is even, so they approach the probabilities as 1/n.
fn shares(logits: &[f32], params: &SamplingParams) -> Vec<f64> {
    const N: u32 = 2000;
    let best = argmax(logits).1;
    let mut shares = vec![0.0; logits.len()];
    for at in 0..N {
        let uniform = (f64::from(at) + 0.5) / f64::from(N);
        shares[draw::draw(&mut logits.to_vec(), best, params, uniform) as usize] += 1.0 / f64::from(N);
    }
    shares
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn draws_follow_the_textbook_distribution(
        logits in prop::collection::vec(-4.0_f32..4.0, 1..40),
        temperature in 0.3_f32..2.0,
        top_k in prop::option::of(1..50_u32),
        top_p in prop_oneof![Just(1.0_f32), 0.05_f32..1.0],
        min_p in prop_oneof![Just(0.0_f32), 0.01_f32..0.9],
    ) {
        let params = SamplingParams { temperature, top_p, top_k, min_p, ..greedy() };
        let expected = expected_probabilities(&logits, &params);
        for (token, (actual, expected)) in shares(&logits, &params).iter().zip(expected).enumerate() {
            prop_assert!((actual - expected).abs() < 2e-3, "token {token}: {actual} instead of {expected}");
        }
    }

    #[test]
    fn a_large_nucleus_is_cut_where_the_sorted_list_is(seed in any::<u64>(), top_p in 0.1_f32..0.999) {
        // More candidates than the first sorted stretch holds, and masked ones in between.
        let noise = |at: usize| draw::uniform(seed, at) as f32;
        let logits: Vec<f32> =
            (0..3000).map(|at| if at % 5 == 0 { f32::NEG_INFINITY } else { noise(at) * 2.0 }).collect();
        let params = SamplingParams { temperature: 1.0, top_p, ..greedy() };
        let expected = expected_probabilities(&logits, &params);
        let n_nucleus = expected.iter().filter(|it| **it > 0.0).count();
        let best = argmax(&logits).1;
        // The last draw comes from the end of the nucleus: it shows both a cut too early and one too late.
        let last = draw::draw(&mut logits.clone(), best, &params, 1.0 - 1e-12);
        let n_better = logits.iter().filter(|&&it| it > logits[last as usize]).count();
        // Where f32 weights round otherwise than f64 ones, the edge moves by a token.
        prop_assert!(n_better.abs_diff(n_nucleus - 1) <= 1, "rank {n_better} in a nucleus of {n_nucleus}");
    }
}

#[test]
fn the_best_tokens_of_a_large_vocabulary_are_found() {
    let logits: Vec<f32> = (0..5000).map(|at| draw::uniform(9, at) as f32).collect();
    let mut order: Vec<u32> = (0..5000).collect();
    order.sort_by(|a, b| logits[*b as usize].total_cmp(&logits[*a as usize]));
    for k in [0, 1, 20, 5000, 9999] {
        let top = position_logprobs(&logits, order[10], k).top;
        let expected = &order[..k.min(5000) as usize];
        assert_eq!(top.iter().map(|it| it.token).collect::<Vec<_>>(), expected, "k = {k}");
    }
    assert_eq!(position_logprobs(&logits, order[10], 0).chosen.rank, 11);
}
