//! Tiny random models of each architecture against transformers in f64 (`tests/fixtures/README.md`).

use std::path::Path;

use llmd_engine::kv_cache::KvDtype;
use llmd_engine::step::LogitRows;
use serde::Deserialize;

use super::{Sequence, argmax, load, log_softmax, options, run};

#[derive(Deserialize)]
struct Reference {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    prompt_token_ids: Vec<u32>,
    last_logits: Vec<f64>,
    top_logits: Vec<Vec<(usize, f64)>>,
    logsumexp: Vec<f64>,
    greedy_token_ids: Vec<u32>,
    std: f64,
}

/// Largest error of a logit, relative to the logits' standard deviation.
const TOLERANCE: f64 = 1e-4;

#[track_caller]
fn check(name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    let text = std::fs::read_to_string(folder.join("reference.json")).unwrap();
    let Reference { cases } = serde_json::from_str(&text).unwrap();
    assert!(!cases.is_empty());
    let mut runner = load(&folder, options(KvDtype::F32));
    for case in cases {
        let n_tokens = case.prompt_token_ids.len();
        let mut sequence = Sequence::new(&case.prompt_token_ids, 1);
        let logits = run(&mut runner, vec![sequence.step(n_tokens, LogitRows::All)]);
        let close = |actual: f32, expected: f64, what: &str| {
            let error = (f64::from(actual) - expected).abs() / case.std;
            assert!(error <= TOLERANCE, "{name}, {n_tokens} tokens, {what}: {actual}, not {expected}");
        };
        for (token, &expected) in case.last_logits.iter().enumerate() {
            close(logits.row(n_tokens - 1)[token], expected, &format!("logit of {token}"));
        }
        for (position, top) in case.top_logits.iter().enumerate() {
            let (row, logprobs) = (logits.row(position), log_softmax(logits.row(position)));
            for &(token, expected) in top {
                close(row[token], expected, &format!("logit of {token} at {position}"));
                let logsumexp = f64::from(row[token]) - logprobs[token];
                close(logsumexp as f32, case.logsumexp[position], &format!("log-sum-exp at {position}"));
            }
        }
        let mut next = logits.row(n_tokens - 1).to_vec();
        for &expected in &case.greedy_token_ids {
            assert_eq!(argmax(&next), expected, "{name} after {} tokens", sequence.tokens.len());
            sequence.tokens.push(expected);
            next = run(&mut runner, vec![sequence.step(1, LogitRows::Last)]).values;
        }
    }
}

#[test]
fn llama_with_its_own_head_in_f16() {
    check("llama-untied-f16");
}

#[test]
fn llama3_rope_in_f32_shards() {
    check("llama3-rope");
}

#[test]
fn qwen2_with_biases() {
    check("qwen2");
}

#[test]
fn qwen3_with_head_norms() {
    check("qwen3");
}
