//! Penalties on tokens that stand in the text already, counted as the text grows.

use std::collections::{HashMap, HashSet};

use super::params::SamplingParams;

#[derive(Debug)]
pub(super) struct Penalties {
    repetition: f32,
    frequency: f32,
    presence: f32,
    /// Filled only when the repetition penalty asks for it.
    prompt: HashSet<u32>,
    /// Occurrences of each generated token; filled only when some penalty is on.
    generated: HashMap<u32, u32>,
}

impl Penalties {
    #[expect(clippy::float_cmp, reason = "exactly 1 is the parameter's off value")]
    pub(super) fn new(params: &SamplingParams, prompt: &[u32]) -> Self {
        let repeats = params.repetition_penalty != 1.0;
        Self {
            repetition: params.repetition_penalty,
            frequency: params.frequency_penalty,
            presence: params.presence_penalty,
            prompt: if repeats { prompt.iter().copied().collect() } else { HashSet::new() },
            generated: HashMap::new(),
        }
    }

    #[expect(clippy::float_cmp, reason = "exactly 1 and 0 are the parameters' off values")]
    fn is_off(&self) -> bool {
        self.repetition == 1.0 && self.frequency == 0.0 && self.presence == 0.0
    }

    /// Notes a generated token.
    pub(super) fn count(&mut self, token: u32) {
        if !self.is_off() {
            *self.generated.entry(token).or_default() += 1;
        }
    }

    /// Repetition over prompt and generated tokens, then frequency and presence over generated ones.
    #[expect(clippy::cast_precision_loss, reason = "a token occurs fewer than 2^24 times")]
    pub(super) fn apply(&self, logits: &mut [f32]) {
        if self.is_off() {
            return;
        }
        let only_in_prompt = self.prompt.iter().filter(|token| !self.generated.contains_key(token));
        for &token in only_in_prompt.chain(self.generated.keys()) {
            if let Some(logit) = logits.get_mut(token as usize) {
                // A tiny penalty must not make a likely token infinitely likely: nothing could be sampled then.
                *logit = match *logit > 0.0 {
                    true => (*logit / self.repetition).min(f32::MAX),
                    false => *logit * self.repetition,
                };
            }
        }
        for (&token, &count) in &self.generated {
            if let Some(logit) = logits.get_mut(token as usize) {
                *logit -= self.frequency * count as f32 + self.presence;
            }
        }
    }
}
