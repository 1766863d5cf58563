//! Log-probabilities under the raw logits.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::softmax::log_sum_exp;
use crate::output::{PositionLogprobs, TokenLogprob};

/// Log-probability and rank of `token`, and of the `k` best tokens, under `logits` as the model gave them.
///
/// # Panics
/// When `token` is not below the number of logits.
#[must_use]
pub fn position_logprobs(logits: &[f32], token: u32, k: u32) -> PositionLogprobs {
    let normalizer = log_sum_exp(logits);
    let chosen_logit = logits[token as usize];
    let n_better = logits.iter().filter(|&&it| it > chosen_logit).count();
    let entry = |token, logit: f32, n_better: usize| TokenLogprob {
        token,
        logprob: to_f32(f64::from(logit) - normalizer),
        rank: u32::try_from(n_better + 1).unwrap_or(u32::MAX),
    };
    let top = best(logits, k as usize);
    PositionLogprobs {
        chosen: entry(token, chosen_logit, n_better),
        top: top.iter().enumerate().map(|(at, it)| entry(it.token, it.logit, at)).collect(),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "log-probabilities are reported in f32")]
fn to_f32(value: f64) -> f32 {
    value as f32
}

/// Ordered by logit; among equal ones the lower token id is the better.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Scored {
    logit: f32,
    token: u32,
}

impl Eq for Scored {}

impl Ord for Scored {
    fn cmp(&self, other: &Self) -> Ordering {
        self.logit.total_cmp(&other.logit).then(other.token.cmp(&self.token))
    }
}

impl PartialOrd for Scored {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The `k` best, best first. A heap of `k` entries over one pass: most tokens fail the first comparison.
#[expect(clippy::cast_possible_truncation, reason = "token ids have 32 bits")]
fn best(logits: &[f32], k: usize) -> Vec<Scored> {
    let k = k.min(logits.len());
    if k == 0 {
        return Vec::new();
    }
    let mut heap = BinaryHeap::with_capacity(k + 1);
    for (token, &logit) in logits.iter().enumerate() {
        if heap.len() == k && heap.peek().is_some_and(|Reverse(worst): &Reverse<Scored>| logit <= worst.logit)
        {
            continue;
        }
        heap.push(Reverse(Scored { logit, token: token as u32 }));
        if heap.len() > k {
            heap.pop();
        }
    }
    heap.into_sorted_vec().into_iter().map(|Reverse(it)| it).collect()
}
