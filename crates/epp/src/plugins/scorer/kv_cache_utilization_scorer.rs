//! `kv-cache-utilization-scorer`: prefers the emptiest KV cache, `1 − usage`, as last scraped.

use std::sync::Arc;

use crate::config::ConfigError;
use crate::config::build::Build;
use crate::plugin::{Extension, Scorer};
use crate::request::InferenceRequest;
use crate::scheduling::Candidate;

/// See the module.
#[derive(Debug)]
pub struct KvCacheUtilizationScorer;

impl Scorer for KvCacheUtilizationScorer {
    fn score(&self, _request: &InferenceRequest<'_>, candidates: &[Candidate<'_>], scores: &mut [f64]) {
        for (score, candidate) in scores.iter_mut().zip(candidates) {
            *score = 1.0 - candidate.metrics.kv_cache_usage;
        }
    }
}

pub(crate) fn build(build: &mut Build<'_, '_>) -> Result<Extension, ConfigError> {
    build.no_parameters()?;
    Ok(Extension::Scorer(Arc::new(KvCacheUtilizationScorer)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::testing::{candidates, endpoint, request, store};

    #[test]
    fn scores_what_is_free() {
        let usage = [0.0, 0.25, 1.0];
        let endpoints =
            usage.iter().enumerate().map(|(i, &it)| endpoint(&format!("e{i}")).kv_cache_usage(it));
        let store = store(endpoints.collect());
        let (endpoints, headers) = (store.endpoints(), HashMap::new());
        let mut scores = [f64::NAN; 3];
        KvCacheUtilizationScorer.score(&request("", &headers), &candidates(&endpoints), &mut scores);
        assert_eq!(scores, [1.0, 0.75, 0.0]);
    }
}
