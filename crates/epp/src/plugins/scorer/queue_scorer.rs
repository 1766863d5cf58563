//! `queue-scorer`: prefers the shortest waiting queue.
//!
//! Reads the waiting requests as last scraped, so picks inside one scrape interval see the same depths.

use std::sync::Arc;

use crate::config::ConfigError;
use crate::config::build::Build;
use crate::plugin::{Extension, Scorer};
use crate::plugins::scorer::score_smallest;
use crate::request::InferenceRequest;
use crate::scheduling::Candidate;

/// See the module.
#[derive(Debug)]
pub struct QueueScorer;

impl Scorer for QueueScorer {
    fn score(&self, _request: &InferenceRequest<'_>, candidates: &[Candidate<'_>], scores: &mut [f64]) {
        score_smallest(candidates, scores, |it| it.metrics.waiting_requests);
    }
}

pub(crate) fn build(build: &mut Build<'_, '_>) -> Result<Extension, ConfigError> {
    build.no_parameters()?;
    Ok(Extension::Scorer(Arc::new(QueueScorer)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::testing::{candidates, endpoint, request, store};

    #[track_caller]
    fn check(waiting: &[u32], expected: &[f64]) {
        let endpoints = waiting.iter().enumerate().map(|(i, &it)| endpoint(&format!("e{i}")).waiting(it));
        let store = store(endpoints.collect());
        let (endpoints, headers) = (store.endpoints(), HashMap::new());
        let mut scores = vec![f64::NAN; waiting.len()];
        QueueScorer.score(&request("", &headers), &candidates(&endpoints), &mut scores);
        assert_eq!(scores, expected, "waiting = {waiting:?}");
    }

    #[test]
    fn empty_pool() {
        check(&[], &[]);
    }

    #[test]
    fn equal_depths_are_all_best() {
        check(&[3, 3], &[1.0, 1.0]);
    }

    #[test]
    fn linear_between_shortest_and_longest() {
        check(&[0, 5, 10], &[1.0, 0.5, 0.0]);
    }
}
