//! A random draw from logits: temperature, min-p, top-k and top-p.
//!
//! Ties are ordered by token id, so the set of candidates is a function of the logits alone. The vocabulary is
//! never sorted as a whole: top-k selects, and top-p sorts only as far as the probability mass reaches.

use std::cmp::Ordering;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::params::SamplingParams;
use super::softmax::{BLOCK, block_sum, exp};

/// A number in [0, 1) that depends on `seed` and `position` alone.
pub(super) fn uniform(seed: u64, position: usize) -> f64 {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(position as u64);
    random.random()
}

/// Draws a token. `best` is the largest of `logits` and finite; `uniform` lies in [0, 1). Overwrites `logits`.
pub(super) fn draw(logits: &mut [f32], best: f32, params: &SamplingParams, uniform: f64) -> u32 {
    let scale = 1.0 / params.temperature;
    for logit in logits.iter_mut() {
        *logit = (*logit - best) * scale;
    }
    if params.min_p <= 0.0 && params.top_k.is_none() && params.top_p >= 1.0 {
        return draw_from_all(logits, uniform);
    }
    let mut candidates = candidates(logits, params.min_p);
    if let Some(k) = params.top_k {
        keep_best(&mut candidates, k as usize);
    }
    if params.top_p < 1.0 {
        keep_nucleus(&mut candidates, f64::from(params.top_p));
    }
    draw_from(&candidates, uniform)
}

/// A token with its logit, relative to the best one and divided by the temperature.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    token: u32,
    logit: f32,
}

impl Candidate {
    fn weight(&self) -> f64 {
        f64::from(exp(self.logit))
    }

    fn best_first(&self, other: &Self) -> Ordering {
        other.logit.total_cmp(&self.logit).then(self.token.cmp(&other.token))
    }
}

/// Tokens at least `min_p` times as likely as the best.
#[expect(clippy::cast_possible_truncation, reason = "token ids have 32 bits")]
fn candidates(logits: &[f32], min_p: f32) -> Vec<Candidate> {
    let floor = if min_p > 0.0 { min_p.ln() } else { f32::MIN };
    let all = logits.iter().enumerate().map(|(token, &logit)| Candidate { token: token as u32, logit });
    all.filter(|it| it.logit >= floor).collect()
}

fn keep_best(candidates: &mut Vec<Candidate>, k: usize) {
    if (1..candidates.len()).contains(&k) {
        candidates.select_nth_unstable_by(k - 1, Candidate::best_first);
        candidates.truncate(k);
    }
}

/// Keeps the smallest set of best candidates that holds the share `top_p` of the mass.
fn keep_nucleus(candidates: &mut Vec<Candidate>, top_p: f64) {
    let wanted = top_p * candidates.iter().map(Candidate::weight).sum::<f64>();
    let mut mass = 0.0;
    let mut n_sorted = 0;
    while n_sorted < candidates.len() {
        let end = (n_sorted * 8).max(BLOCK).min(candidates.len());
        let unsorted = &mut candidates[n_sorted..];
        if end - n_sorted < unsorted.len() {
            unsorted.select_nth_unstable_by(end - n_sorted, Candidate::best_first);
        }
        unsorted[..end - n_sorted].sort_unstable_by(Candidate::best_first);
        for at in n_sorted..end {
            mass += candidates[at].weight();
            if mass >= wanted {
                candidates.truncate(at + 1);
                return;
            }
        }
        n_sorted = end;
    }
}

fn draw_from(candidates: &[Candidate], uniform: f64) -> u32 {
    let mut left = uniform * candidates.iter().map(Candidate::weight).sum::<f64>();
    for candidate in candidates {
        left -= candidate.weight();
        if left < 0.0 {
            return candidate.token;
        }
    }
    // Rounding can leave a last crumb; it belongs to the most likely token.
    candidates.iter().min_by(|a, b| a.best_first(b)).map_or(0, |it| it.token)
}

/// As [`draw_from`] over the whole vocabulary in its own order: the block first, then the token in it.
#[expect(clippy::cast_possible_truncation, reason = "token ids have 32 bits")]
fn draw_from_all(logits: &[f32], uniform: f64) -> u32 {
    let sums: Vec<f64> = logits.chunks(BLOCK).map(|block| block_sum(block, 0.0)).collect();
    let mut left = uniform * sums.iter().sum::<f64>();
    for (block, &sum) in sums.iter().enumerate() {
        if left >= sum {
            left -= sum;
            continue;
        }
        let start = block * BLOCK;
        for (at, &logit) in logits[start..].iter().take(BLOCK).enumerate() {
            left -= f64::from(exp(logit));
            if left < 0.0 {
                return (start + at) as u32;
            }
        }
    }
    super::argmax(logits).0
}
