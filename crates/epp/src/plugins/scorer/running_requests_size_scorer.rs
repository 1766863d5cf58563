//! `running-requests-size-scorer`: prefers the smallest running batch, as last scraped.

use std::sync::Arc;

use crate::config::ConfigError;
use crate::config::build::Build;
use crate::plugin::{Extension, Scorer};
use crate::plugins::scorer::score_smallest;
use crate::request::InferenceRequest;
use crate::scheduling::Candidate;

/// See the module.
#[derive(Debug)]
pub struct RunningRequestsSizeScorer;

impl Scorer for RunningRequestsSizeScorer {
    fn score(&self, _request: &InferenceRequest<'_>, candidates: &[Candidate<'_>], scores: &mut [f64]) {
        score_smallest(candidates, scores, |it| it.metrics.running_requests);
    }
}

pub(crate) fn build(build: &mut Build<'_, '_>) -> Result<Extension, ConfigError> {
    build.no_parameters()?;
    Ok(Extension::Scorer(Arc::new(RunningRequestsSizeScorer)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::testing::{candidates, endpoint, request, store};

    #[test]
    fn reads_the_running_batch_and_not_the_queue() {
        let store = store(vec![endpoint("a").running(4).waiting(0), endpoint("b").running(1).waiting(9)]);
        let (endpoints, headers) = (store.endpoints(), HashMap::new());
        let mut scores = [f64::NAN; 2];
        RunningRequestsSizeScorer.score(&request("", &headers), &candidates(&endpoints), &mut scores);
        assert_eq!(scores, [0.0, 1.0]);
    }
}
