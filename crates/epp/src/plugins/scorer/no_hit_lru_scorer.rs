//! `no-hit-lru-scorer`: spreads prompts of which no endpoint holds a prefix, so that caches fill evenly.
//!
//! If any candidate holds a prefix, all score 0.5. Otherwise candidates that were never picked for such a prompt come
//! first, in their order, and then the others, least recently picked first: number i of n scores 1 − i/(n − 1).

use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;
use parking_lot::Mutex;
use serde::Deserialize;

use crate::config::ConfigError;
use crate::config::build::Build;
use crate::datastore::Endpoint;
use crate::plugin::{Extension, Scorer};
use crate::request::{InferenceRequest, PrefixSlot};
use crate::scheduling::{Candidate, Schedule};

/// The profile whose pick computes the prompt besides the destination.
const PREFILL_PROFILE: &str = "prefill";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Parameters {
    lru_size: usize,
    prefix_match_info_producer_name: Option<String>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { lru_size: 1024, prefix_match_info_producer_name: None }
    }
}

/// See the module.
#[derive(Debug)]
pub struct NoHitLruScorer {
    prefix: PrefixSlot,
    /// Endpoints by their state's number, the last picked first.
    picked: Mutex<LruCache<u64, ()>>,
}

impl NoHitLruScorer {
    fn is_cold(&self, request: &InferenceRequest<'_>) -> bool {
        request.prefix(self.prefix).is_none_or(|it| it.cached_blocks.iter().all(|&blocks| blocks == 0))
    }

    /// Positions in `candidates`, best first.
    fn order(&self, candidates: &[Candidate<'_>]) -> Vec<usize> {
        let picked = self.picked.lock();
        let last_picked: Vec<u64> = picked.iter().map(|(id, ())| *id).collect();
        drop(picked);
        let age = |it: &Candidate<'_>| {
            let id = it.endpoint.state.id();
            last_picked.iter().position(|&picked| picked == id).unwrap_or(usize::MAX)
        };
        let ages: Vec<usize> = candidates.iter().map(age).collect();
        let mut order: Vec<usize> = (0..candidates.len()).collect();
        order.sort_by_key(|&it| std::cmp::Reverse(ages[it]));
        order
    }
}

impl Scorer for NoHitLruScorer {
    #[expect(clippy::cast_precision_loss, reason = "a pool has far fewer than 2^52 endpoints")]
    fn score(&self, request: &InferenceRequest<'_>, candidates: &[Candidate<'_>], scores: &mut [f64]) {
        if !self.is_cold(request) {
            scores.fill(0.5);
            return;
        }
        let last = candidates.len().saturating_sub(1).max(1) as f64;
        for (number, position) in self.order(candidates).into_iter().enumerate() {
            scores[position] = 1.0 - number as f64 / last;
        }
    }

    fn picked(&self, request: &InferenceRequest<'_>, schedule: &Schedule<'_>) {
        if !self.is_cold(request) {
            return;
        }
        let mut picked = self.picked.lock();
        let endpoints = schedule.destinations().next().into_iter().chain(schedule.picked_by(PREFILL_PROFILE));
        for endpoint in endpoints.map(Arc::as_ref) {
            let Endpoint { state, .. } = endpoint;
            picked.put(state.id(), ());
        }
    }
}

pub(crate) fn build(build: &mut Build<'_, '_>) -> Result<Extension, ConfigError> {
    let Parameters { lru_size, prefix_match_info_producer_name } = build.parameters()?;
    let size = NonZeroUsize::new(lru_size).ok_or_else(|| build.invalid("lruSize", "must be positive"))?;
    Ok(Extension::Scorer(Arc::new(NoHitLruScorer {
        prefix: build.prefix_producer(prefix_match_info_producer_name.as_deref())?,
        picked: Mutex::new(LruCache::new(size)),
    })))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::datastore::Datastore;
    use crate::testing::{candidates, endpoint, prefix_matches, request, store};

    struct Fixture {
        scorer: NoHitLruScorer,
        store: Arc<Datastore>,
    }

    impl Fixture {
        fn new(size: usize) -> Self {
            let picked = Mutex::new(LruCache::new(NonZeroUsize::new(size).unwrap()));
            let store = store(["a", "b", "c"].map(endpoint).into());
            Self { scorer: NoHitLruScorer { prefix: PrefixSlot(0), picked }, store }
        }

        /// Scores for a prompt of which the endpoints hold `cached` blocks.
        fn scores(&self, cached: &[u32]) -> Vec<f64> {
            let (endpoints, headers) = (self.store.endpoints(), HashMap::new());
            let mut request = request("", &headers);
            request.prefix_matches.push(prefix_matches(4, 16, cached));
            let mut scores = vec![f64::NAN; 3];
            self.scorer.score(&request, &candidates(&endpoints), &mut scores);
            scores
        }

        fn pick(&self, index: usize) {
            self.scorer.picked.lock().put(self.store.endpoints()[index].state.id(), ());
        }
    }

    #[test]
    fn a_held_prefix_leaves_the_choice_to_others() {
        assert_eq!(Fixture::new(9).scores(&[0, 1, 0]), [0.5, 0.5, 0.5]);
    }

    #[test]
    fn cold_prompts_go_round() {
        let fixture = Fixture::new(9);
        assert_eq!(fixture.scores(&[0, 0, 0]), [1.0, 0.5, 0.0]);
        fixture.pick(0);
        assert_eq!(fixture.scores(&[0, 0, 0]), [0.0, 1.0, 0.5]);
        fixture.pick(1);
        fixture.pick(2);
        assert_eq!(fixture.scores(&[0, 0, 0]), [1.0, 0.5, 0.0]);
        fixture.pick(0);
        assert_eq!(fixture.scores(&[0, 0, 0]), [0.0, 1.0, 0.5]);
    }

    #[test]
    fn what_the_memory_does_not_hold_counts_as_never_picked() {
        let fixture = Fixture::new(1);
        fixture.pick(0);
        fixture.pick(1);
        assert_eq!(fixture.scores(&[0, 0, 0]), [1.0, 0.0, 0.5]);
    }
}
