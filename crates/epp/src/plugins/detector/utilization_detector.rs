//! `utilization-detector`: how full the engines are, by their queues and caches.
//!
//! The mean over the candidates of `max(waiting / queueDepthThreshold, usage / kvCacheUtilThreshold)`; 1 is saturated.
//! An engine that does not answer counts as saturated. One that answers late counts with what it said last, where the
//! llm-d router counts it as saturated after `metricsStalenessThreshold`: a busy machine delays scrapes too.

use serde::Deserialize;

use crate::config::ConfigError;
use crate::config::build::Build;
use crate::plugin::Extension;
use crate::scheduling::Candidate;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Parameters {
    queue_depth_threshold: u32,
    kv_cache_util_threshold: f64,
    #[serde(rename = "metricsStalenessThreshold")]
    _metrics_staleness_threshold: Option<String>,
    // Of use only to a filter.
    #[serde(rename = "headroom")]
    _headroom: Option<f64>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            queue_depth_threshold: 5,
            kv_cache_util_threshold: 0.8,
            _metrics_staleness_threshold: None,
            _headroom: None,
        }
    }
}

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UtilizationDetector {
    queue_depth: f64,
    kv_cache_usage: f64,
}

impl UtilizationDetector {
    /// Saturation of the candidates, not clamped above 1; without candidates 1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a pool has far fewer than 2^52 endpoints")]
    pub fn saturation(&self, candidates: &[Candidate<'_>]) -> f64 {
        if candidates.is_empty() {
            return 1.0;
        }
        candidates.iter().map(|it| self.saturation_of(it)).sum::<f64>() / candidates.len() as f64
    }

    fn saturation_of(&self, candidate: &Candidate<'_>) -> f64 {
        if !candidate.endpoint.state.is_reachable() {
            return 1.0;
        }
        let queue = f64::from(candidate.metrics.waiting_requests) / self.queue_depth;
        queue.max(candidate.metrics.kv_cache_usage / self.kv_cache_usage)
    }
}

pub(crate) fn build(build: &mut Build<'_, '_>) -> Result<Extension, ConfigError> {
    let Parameters { queue_depth_threshold, kv_cache_util_threshold, .. } = build.parameters()?;
    if queue_depth_threshold == 0 {
        return Err(build.invalid("queueDepthThreshold", "must be positive"));
    }
    if !(kv_cache_util_threshold > 0.0 && kv_cache_util_threshold <= 1.0) {
        return Err(build.invalid("kvCacheUtilThreshold", "must be above 0 and at most 1"));
    }
    Ok(Extension::SaturationDetector(UtilizationDetector {
        queue_depth: f64::from(queue_depth_threshold),
        kv_cache_usage: kv_cache_util_threshold,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{EndpointBuilder, candidates, endpoint, store};

    #[track_caller]
    fn check(endpoints: Vec<EndpointBuilder>, expected: f64) {
        let detector = UtilizationDetector { queue_depth: 5.0, kv_cache_usage: 0.8 };
        let store = store(endpoints);
        let saturation = detector.saturation(&candidates(&store.endpoints()));
        assert!((saturation - expected).abs() < 1e-9, "{saturation}");
    }

    #[test]
    fn the_fuller_of_queue_and_cache_counts() {
        check(vec![], 1.0);
        check(vec![endpoint("idle")], 0.0);
        check(vec![endpoint("a").waiting(5), endpoint("b").kv_cache_usage(0.4)], 0.75);
        check(vec![endpoint("a").waiting(10).kv_cache_usage(0.8)], 2.0);
    }

    #[test]
    fn an_engine_that_does_not_answer_is_saturated() {
        let detector = UtilizationDetector { queue_depth: 5.0, kv_cache_usage: 0.8 };
        let store = store(vec![endpoint("a"), endpoint("b")]);
        let endpoints = store.endpoints();
        endpoints[0].state.set_reachable(false);
        assert!((detector.saturation(&candidates(&endpoints)) - 0.5).abs() < 1e-9);
    }
}
