//! The demo model says what its golden file says.

use llmd_engine::kv_cache::KvDtype;
use llmd_engine::step::LogitRows;
use serde::Deserialize;

use super::{Sequence, argmax, llmd_tiny, load, log_softmax, options, run};

#[derive(Deserialize)]
struct Golden {
    chat: Vec<Case>,
    raw: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    prompt_token_ids: Vec<u32>,
    completion_token_ids: Vec<u32>,
    least_margin: f64,
    #[serde(default)]
    top_logprobs: Vec<Vec<(u32, f64)>>,
}

fn cases() -> Vec<Case> {
    let text = std::fs::read_to_string(llmd_tiny().join("golden.json")).unwrap();
    let Golden { chat, raw } = serde_json::from_str(&text).unwrap();
    chat.into_iter().chain(raw).collect()
}

/// Generates as many tokens as the case has, with all cases in one batch, and checks them.
fn check(kv_dtype: KvDtype, least_margin: f64, logprob_tolerance: Option<f64>) {
    let mut runner = load(&llmd_tiny(), options(kv_dtype));
    let cases: Vec<Case> = cases().into_iter().filter(|it| it.least_margin >= least_margin).collect();
    assert!(cases.len() > 35);
    for batch in cases.chunks(8) {
        let mut sequences: Vec<_> = batch
            .iter()
            .zip(0..)
            .map(|(case, i)| Sequence::new(&case.prompt_token_ids, 1 + 64 * i))
            .collect();
        // Prompts one after the other: together they exceed a step.
        let mut next: Vec<_> = sequences
            .iter_mut()
            .zip(batch)
            .map(|(sequence, case)| {
                let step = sequence.step(case.prompt_token_ids.len(), LogitRows::Last);
                run(&mut runner, vec![step]).values
            })
            .collect();
        for position in 0.. {
            let mut running = Vec::new();
            for (i, case) in batch.iter().enumerate() {
                let Some(&expected) = case.completion_token_ids.get(position) else { continue };
                let logprobs = log_softmax(&next[i]);
                for &(token, expected) in case.top_logprobs.get(position).into_iter().flatten() {
                    let actual = logprobs[token as usize];
                    if let Some(tolerance) = logprob_tolerance {
                        assert!(
                            (actual - expected).abs() < tolerance,
                            "token {token}: {actual}, not {expected}"
                        );
                    }
                }
                assert_eq!(argmax(&next[i]), expected, "token {position} after {:?}", case.prompt_token_ids);
                sequences[i].tokens.push(expected);
                running.push(i);
            }
            if running.is_empty() {
                break;
            }
            let steps = running.iter().map(|&i| sequences[i].step(1, LogitRows::Last)).collect();
            let logits = run(&mut runner, steps);
            for (row, &i) in running.iter().enumerate() {
                next[i] = logits.row(row).to_vec();
            }
        }
    }
}

#[test]
fn with_an_f32_cache_every_case_token_for_token() {
    check(KvDtype::F32, 0.0, Some(1e-3));
}

#[test]
fn with_a_bf16_cache_every_case_with_a_margin() {
    check(KvDtype::Bf16, 0.25, None);
}
