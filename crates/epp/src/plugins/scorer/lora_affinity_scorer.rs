//! `lora-affinity-scorer`: prefers endpoints where the request's adapter is loaded already.
//!
//! 1 where the adapter runs, 0.8 where a slot is free, 0.6 where it waits for one, 0 elsewhere. A base model is no
//! adapter of any endpoint, so it goes where a slot is free.

use std::sync::Arc;

use crate::config::ConfigError;
use crate::config::build::Build;
use crate::datastore::Adapters;
use crate::plugin::{Extension, Scorer};
use crate::request::InferenceRequest;
use crate::scheduling::Candidate;

/// See the module.
#[derive(Debug)]
pub struct LoraAffinityScorer;

impl Scorer for LoraAffinityScorer {
    fn score(&self, request: &InferenceRequest<'_>, candidates: &[Candidate<'_>], scores: &mut [f64]) {
        for (score, candidate) in scores.iter_mut().zip(candidates) {
            *score = affinity(&candidate.endpoint.state.adapters(), &request.target_model);
        }
    }
}

fn affinity(adapters: &Adapters, model: &str) -> f64 {
    let n_used = adapters.running.len() + adapters.waiting.len();
    if adapters.running.iter().any(|it| &**it == model) {
        1.0
    } else if n_used < adapters.max {
        0.8
    } else if adapters.waiting.iter().any(|it| &**it == model) {
        0.6
    } else {
        0.0
    }
}

pub(crate) fn build(build: &mut Build<'_, '_>) -> Result<Extension, ConfigError> {
    build.no_parameters()?;
    build.read_adapters();
    Ok(Extension::Scorer(Arc::new(LoraAffinityScorer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(running: &str, waiting: &str, max: usize, expected: f64) {
        let score = affinity(&Adapters::new(running, waiting, max), "sql");
        assert!((score - expected).abs() < f64::EPSILON, "{running} / {waiting} / {max}: {score}");
    }

    #[test]
    fn loaded_before_free_before_waiting() {
        check("sql, chat", "", 2, 1.0);
        check("chat", "sql", 3, 0.8);
        check("chat", "", 2, 0.8);
        check("chat,code", "sql", 3, 0.6);
        check("chat,code", "", 2, 0.0);
        check("", "", 0, 0.0);
    }
}
