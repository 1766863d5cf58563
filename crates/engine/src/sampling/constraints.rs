//! Tokens that must not or should rather (not) follow: allow list, bad words, minimum length, bias.

use std::sync::Arc;

use super::params::SamplingParams;

#[derive(Debug)]
pub(super) struct Constraints {
    allowed: Option<Arc<[u32]>>,
    bad_words: Arc<[Vec<u32>]>,
    min_tokens: usize,
    /// Tokens that would end the sequence; empty without a minimum length.
    ends: Vec<u32>,
    bias: Arc<[(u32, f32)]>,
}

impl Constraints {
    pub(super) fn new(params: &SamplingParams, eos: &[u32]) -> Self {
        let ends = eos.iter().chain(&*params.stop_token_ids).copied();
        Self {
            allowed: params.allowed_token_ids.clone(),
            bad_words: Arc::clone(&params.bad_words),
            min_tokens: params.min_tokens as usize,
            ends: if params.min_tokens > 0 { ends.collect() } else { Vec::new() },
            bias: Arc::clone(&params.logit_bias),
        }
    }

    pub(super) fn apply(&self, logits: &mut [f32], generated: &[u32]) {
        if let Some(allowed) = &self.allowed {
            keep_only(logits, allowed);
        }
        for word in &*self.bad_words {
            if let Some((last, start)) = word.split_last()
                && generated.ends_with(start)
            {
                mask(logits, *last);
            }
        }
        if generated.len() < self.min_tokens {
            for &token in &self.ends {
                mask(logits, token);
            }
        }
        for &(token, bias) in &*self.bias {
            if let Some(logit) = logits.get_mut(token as usize) {
                *logit += bias;
            }
        }
    }
}

fn mask(logits: &mut [f32], token: u32) {
    if let Some(logit) = logits.get_mut(token as usize) {
        *logit = f32::NEG_INFINITY;
    }
}

/// Masks the gaps between the `allowed` tokens, which ascend.
fn keep_only(logits: &mut [f32], allowed: &[u32]) {
    let mut gap_start = 0;
    for &token in allowed {
        let token = (token as usize).min(logits.len());
        logits[gap_start..token].fill(f32::NEG_INFINITY);
        gap_start = (token + 1).min(logits.len());
    }
    logits[gap_start..].fill(f32::NEG_INFINITY);
}
