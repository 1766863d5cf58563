//! From logits to a token: constraints, penalties, sampling and log-probabilities of one sequence.
//!
//! The order is vLLM's: raw log-probabilities → allowed tokens → bad words → minimum length → bias →
//! repetition, frequency and presence penalties → the best token, or temperature → min-p → top-k → top-p → a
//! draw. The draw depends on seed and position alone, so a seeded request gives the same tokens in any batch,
//! after a preemption and on any engine.
//!
//! Not here: when a sequence ends, and stop strings.

pub mod params;

mod constraints;
mod draw;
mod logprobs;
mod penalties;
mod softmax;

pub use logprobs::position_logprobs;
pub use params::SamplingParams;

use crate::output::SampledToken;
use constraints::Constraints;
use penalties::Penalties;

/// No token can follow: every one is masked, or the logits are not numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no token can follow: all are masked or the logits are not finite")]
pub struct NoCandidate;

/// Chooses the tokens of one sequence.
#[derive(Debug)]
pub struct Sampler {
    seed: u64,
    n_prompt: usize,
    params: SamplingParams,
    constraints: Constraints,
    penalties: Penalties,
}

impl Sampler {
    /// A sampler after `prompt`. `eos` are the model's end-of-sequence tokens; `random_seed` serves a request
    /// that brings no seed.
    #[must_use]
    pub fn new(params: SamplingParams, prompt: &[u32], eos: &[u32], random_seed: u64) -> Self {
        Self {
            seed: params.seed.unwrap_or(random_seed),
            n_prompt: prompt.len(),
            constraints: Constraints::new(&params, eos),
            penalties: Penalties::new(&params, prompt),
            params,
        }
    }

    /// The parameters it was made with.
    #[must_use]
    pub const fn params(&self) -> &SamplingParams {
        &self.params
    }

    /// Chooses the token that follows `tokens` (prompt and all generated ones). Overwrites `logits`.
    ///
    /// # Errors
    /// See [`NoCandidate`].
    pub fn sample(&mut self, logits: &mut [f32], tokens: &[u32]) -> Result<SampledToken, NoCandidate> {
        let raw = self.params.logprobs.map(|_| logits.to_vec());
        self.constraints.apply(logits, &tokens[self.n_prompt..]);
        self.penalties.apply(logits);
        let (best, best_logit) = argmax(logits);
        if !best_logit.is_finite() {
            return Err(NoCandidate);
        }
        let token = match self.params.is_greedy() {
            true => best,
            false => draw::draw(logits, best_logit, &self.params, draw::uniform(self.seed, tokens.len())),
        };
        self.penalties.count(token);
        let logprobs = raw.zip(self.params.logprobs).map(|(raw, k)| position_logprobs(&raw, token, k));
        Ok(SampledToken { token, logprobs })
    }
}

/// The largest logit and the lowest index it stands at. Values that are not numbers never win.
///
/// Two passes: the first compiles to vector code, which a search that remembers the index does not.
#[expect(clippy::cast_possible_truncation, reason = "token ids have 32 bits")]
fn argmax(logits: &[f32]) -> (u32, f32) {
    let best = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let token = logits.iter().position(|&it| it >= best).unwrap_or(0);
    (token as u32, best)
}

#[cfg(test)]
mod tests;
