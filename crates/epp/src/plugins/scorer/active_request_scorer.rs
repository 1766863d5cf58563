//! `active-request-scorer`: prefers endpoints with the fewest requests in flight from this picker.
//!
//! Unlike queue depths, which are as old as the last scrape, the count changes with every pick. An endpoint with at
//! most `idleThreshold` requests scores 1, any other `maxBusyScore · (max − count) / max`, where `max` is the largest
//! count of a candidate.

use std::sync::Arc;

use serde::Deserialize;

use crate::config::ConfigError;
use crate::config::build::Build;
use crate::plugin::{Extension, Scorer};
use crate::request::InferenceRequest;
use crate::scheduling::Candidate;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Parameters {
    idle_threshold: u32,
    max_busy_score: f64,
    // Deprecated upstream: requests are counted until they end.
    #[serde(rename = "requestTimeout")]
    _request_timeout: Option<String>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { idle_threshold: 0, max_busy_score: 1.0, _request_timeout: None }
    }
}

/// See the module.
#[derive(Debug)]
pub struct ActiveRequestScorer {
    idle_threshold: u32,
    max_busy_score: f64,
}

impl Scorer for ActiveRequestScorer {
    fn score(&self, _request: &InferenceRequest<'_>, candidates: &[Candidate<'_>], scores: &mut [f64]) {
        let counts: Vec<u32> = candidates.iter().map(|it| it.endpoint.state.in_flight()).collect();
        let max = counts.iter().copied().max().unwrap_or(0);
        for (score, count) in scores.iter_mut().zip(counts) {
            *score = if count <= self.idle_threshold {
                1.0
            } else {
                self.max_busy_score * f64::from(max - count) / f64::from(max)
            };
        }
    }
}

pub(crate) fn build(build: &mut Build<'_, '_>) -> Result<Extension, ConfigError> {
    let Parameters { idle_threshold, max_busy_score, .. } = build.parameters()?;
    if !(0.0..=1.0).contains(&max_busy_score) {
        return Err(build.invalid("maxBusyScore", "must be between 0 and 1"));
    }
    Ok(Extension::Scorer(Arc::new(ActiveRequestScorer { idle_threshold, max_busy_score })))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::testing::{candidates, endpoint, request, store};

    #[track_caller]
    fn check(scorer: &ActiveRequestScorer, in_flight: &[u32], expected: &[f64]) {
        let store = store((0..in_flight.len()).map(|it| endpoint(&format!("e{it}"))).collect());
        let (endpoints, headers) = (store.endpoints(), HashMap::new());
        let busy = endpoints.iter().zip(in_flight);
        let _guards: Vec<_> = busy.flat_map(|(it, &n)| (0..n).map(|_| it.state.start_request())).collect();
        let mut scores = vec![f64::NAN; in_flight.len()];
        scorer.score(&request("", &headers), &candidates(&endpoints), &mut scores);
        assert_eq!(scores, expected, "in flight: {in_flight:?}");
    }

    #[test]
    fn fewer_requests_score_more() {
        let scorer = ActiveRequestScorer { idle_threshold: 0, max_busy_score: 1.0 };
        check(&scorer, &[], &[]);
        check(&scorer, &[0, 0], &[1.0, 1.0]);
        check(&scorer, &[0, 1, 4], &[1.0, 0.75, 0.0]);
        check(&scorer, &[3, 3], &[0.0, 0.0]);
    }

    #[test]
    fn idle_and_busy_can_be_told_apart() {
        let scorer = ActiveRequestScorer { idle_threshold: 1, max_busy_score: 0.5 };
        check(&scorer, &[1, 2, 4], &[1.0, 0.25, 0.0]);
    }
}
