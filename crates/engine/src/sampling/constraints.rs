//! Tokens that must not or should rather (not) follow: allow list, bad words, minimum length, bias.

use super::params::SamplingParams;

#[derive(Debug)]
pub(super) struct Constraints {
    allowed: Option<Vec<u32>>,
    bad_words: Vec<Vec<u32>>,
    min_tokens: usize,
    /// Tokens that would end the sequence.
    ends: Vec<u32>,
    bias: Vec<(u32, f32)>,
}

impl Constraints {
    pub(super) fn new(params: &SamplingParams, eos: &[u32]) -> Self {
        let allowed = params.allowed_token_ids.clone().map(|mut allowed| {
            allowed.sort_unstable();
            allowed.dedup();
            allowed
        });
        Self {
            allowed,
            bad_words: params.bad_words.clone(),
            min_tokens: params.min_tokens as usize,
            ends: eos.iter().chain(&params.stop_token_ids).copied().collect(),
            bias: params.logit_bias.clone(),
        }
    }

    pub(super) fn apply(&self, logits: &mut [f32], generated: &[u32]) {
        if let Some(allowed) = &self.allowed {
            keep_only(logits, allowed);
        }
        for word in &self.bad_words {
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
        for &(token, bias) in &self.bias {
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

/// Masks the gaps between the `allowed` tokens, which are sorted.
fn keep_only(logits: &mut [f32], allowed: &[u32]) {
    let mut gap_start = 0;
    for &token in allowed {
        let token = (token as usize).min(logits.len());
        logits[gap_start..token].fill(f32::NEG_INFINITY);
        gap_start = (token + 1).min(logits.len());
    }
    logits[gap_start..].fill(f32::NEG_INFINITY);
}
