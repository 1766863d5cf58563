//! `prefix-cache-scorer`: prefers endpoints that hold the most of the prompt's prefix.
//!
//! With `m` matched of `n` blocks of `b` tokens: `w · min(1, m·b/scale)² + (1 − w) · m/n`, where `w` is
//! `matchLengthWeight` and `scale` is `matchLengthScaleTokens`.

use std::sync::Arc;

use serde::Deserialize;

use crate::config::ConfigError;
use crate::config::build::Build;
use crate::plugin::{Extension, Scorer};
use crate::request::{InferenceRequest, PrefixSlot};
use crate::scheduling::Candidate;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Parameters {
    prefix_match_info_producer_name: Option<String>,
    match_length_weight: f64,
    match_length_scale_tokens: u32,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            prefix_match_info_producer_name: None,
            match_length_weight: 0.0,
            match_length_scale_tokens: 8192,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct PrefixCacheScorer {
    prefix: PrefixSlot,
    match_length_weight: f64,
    match_length_scale_tokens: f64,
}

impl Scorer for PrefixCacheScorer {
    fn score(&self, request: &InferenceRequest<'_>, candidates: &[Candidate<'_>], scores: &mut [f64]) {
        let Some(matches) = request.prefix(self.prefix).filter(|it| it.total_blocks > 0) else { return };
        for (score, candidate) in scores.iter_mut().zip(candidates) {
            let cached = f64::from(matches.cached(candidate.index));
            let share = cached / f64::from(matches.total_blocks);
            let length = cached * f64::from(matches.block_size) / self.match_length_scale_tokens;
            *score =
                self.match_length_weight * length.min(1.0).powi(2) + (1.0 - self.match_length_weight) * share;
        }
    }
}

pub(crate) fn build(build: &mut Build<'_, '_>) -> Result<Extension, ConfigError> {
    let Parameters { prefix_match_info_producer_name, match_length_weight, match_length_scale_tokens } =
        build.parameters()?;
    if !(0.0..=1.0).contains(&match_length_weight) {
        return Err(build.invalid("matchLengthWeight", "must be between 0 and 1"));
    }
    if match_length_scale_tokens == 0 {
        return Err(build.invalid("matchLengthScaleTokens", "must be positive"));
    }
    Ok(Extension::Scorer(Arc::new(PrefixCacheScorer {
        prefix: build.prefix_producer(prefix_match_info_producer_name.as_deref())?,
        match_length_weight,
        match_length_scale_tokens: f64::from(match_length_scale_tokens),
    })))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::request::PrefixMatches;
    use crate::testing::{candidates, endpoint, prefix_matches, request, store};

    #[track_caller]
    fn check(match_length_weight: f64, matches: PrefixMatches, expected: &[f64]) {
        let store = store((0..expected.len()).map(|i| endpoint(&format!("e{i}"))).collect());
        let (endpoints, headers) = (store.endpoints(), HashMap::new());
        let scorer =
            PrefixCacheScorer { prefix: PrefixSlot(0), match_length_weight, match_length_scale_tokens: 64.0 };
        let mut request = request("", &headers);
        request.prefix_matches.push(matches);
        let mut scores = vec![0.0; expected.len()];
        scorer.score(&request, &candidates(&endpoints), &mut scores);
        assert_eq!(scores, expected);
    }

    #[test]
    fn scores_the_share_of_the_prompt() {
        check(0.0, prefix_matches(4, 16, &[0, 1, 4]), &[0.0, 0.25, 1.0]);
    }

    #[test]
    fn weighs_in_the_length_of_the_match() {
        check(1.0, prefix_matches(100, 16, &[2, 4, 8]), &[0.25, 1.0, 1.0]);
        check(0.5, prefix_matches(4, 16, &[2, 4]), &[0.375, 1.0]);
    }

    #[test]
    fn an_empty_prompt_prefers_nobody() {
        check(0.0, prefix_matches(0, 16, &[0, 0]), &[0.0, 0.0]);
    }
}
