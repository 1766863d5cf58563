//! The last scheduling decisions, so that every pick can be explained.
//!
//! Recording a decision moves the cycle's own results into a ring; names and texts are made only when somebody
//! asks. `/debug/decisions` serves [`DecisionLog::snapshot`], newest first:
//!
//! ```json
//! {"decisions": [{
//!   "request_id": "…", "time_unix_ms": 0, "model": "m", "target_model": "m", "priority": 0,
//!   "destinations": ["10.0.0.1:8000"], "set_headers": {"x-prefiller-host-port": "10.0.0.2:8000"}, "error": null,
//!   "candidates": [{"endpoint": "10.0.0.1:8000", "name": "a", "role": "decode", "in_flight": 1,
//!                   "waiting_requests": 0, "running_requests": 0, "kv_cache_usage": 0.0, "cached_blocks": [0]}],
//!   "profiles": [{
//!     "name": "decode",
//!     "filters": [{"name": "decode-filter", "verdicts": {"10.0.0.1:8000": "kept", "10.0.0.2:8000": "removed"}}],
//!     "scorers": [{"name": "queue-scorer", "weight": 2.0,
//!                  "scores": {"10.0.0.1:8000": {"raw": 1.0, "weighted": 2.0}}}],
//!     "totals": {"10.0.0.1:8000": 2.0},
//!     "picked": ["10.0.0.1:8000"]}]}]}
//! ```

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use crate::datastore::{Endpoint, EngineMetrics};
use crate::request::{InferenceRequest, PrefixMatches};
use crate::scheduling::{Candidate, ProfileRun, Schedule};

/// Decisions that are kept; older ones are dropped.
const CAPACITY: usize = 256;
/// Bytes that are kept of a text which clients choose.
const MAX_TEXT: usize = 256;

/// One request's way through the cycle.
#[derive(Debug)]
pub struct Decision {
    request_id: String,
    time: SystemTime,
    model: String,
    target_model: String,
    priority: i32,
    candidates: Vec<Seen>,
    /// What each prefix producer found.
    prefix_matches: Vec<PrefixMatches>,
    runs: Vec<ProfileRun>,
    outcome: Outcome,
}

/// An endpoint as it looked when the decision was made.
#[derive(Debug)]
struct Seen {
    endpoint: Arc<Endpoint>,
    metrics: EngineMetrics,
    in_flight: u32,
}

#[derive(Debug)]
enum Outcome {
    Routed { primary: usize, set_headers: Vec<(String, String)> },
    Rejected { error: String },
}

impl Decision {
    /// A request that was routed.
    #[must_use]
    pub fn routed(
        request: &InferenceRequest<'_>,
        schedule: Schedule<'_>,
        set_headers: Vec<(String, String)>,
    ) -> Self {
        let Schedule { candidates, runs, primary } = schedule;
        Self::new(request, &candidates, runs, Outcome::Routed { primary, set_headers })
    }

    /// A request for which no endpoint was found.
    #[must_use]
    pub fn rejected(
        request: &InferenceRequest<'_>,
        candidates: &[Candidate<'_>],
        runs: Vec<ProfileRun>,
        error: &str,
    ) -> Self {
        Self::new(request, candidates, runs, Outcome::Rejected { error: clipped(error) })
    }

    fn new(
        request: &InferenceRequest<'_>,
        candidates: &[Candidate<'_>],
        runs: Vec<ProfileRun>,
        outcome: Outcome,
    ) -> Self {
        let seen = |it: &Candidate<'_>| Seen {
            endpoint: Arc::clone(it.endpoint),
            metrics: it.metrics,
            in_flight: it.endpoint.state.in_flight(),
        };
        Self {
            request_id: clipped(&request.id),
            time: SystemTime::now(),
            model: clipped(&request.model),
            target_model: clipped(&request.target_model),
            priority: request.priority,
            candidates: candidates.iter().map(seen).collect(),
            prefix_matches: request.prefix_matches.clone(),
            runs,
            outcome,
        }
    }

    fn to_json(&self) -> Value {
        let (destinations, set_headers, error) = match &self.outcome {
            Outcome::Routed { primary, set_headers } => {
                let headers: Map<String, Value> =
                    set_headers.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
                (self.names(&self.runs[*primary].picked), headers, Value::Null)
            }
            Outcome::Rejected { error } => (Vec::new(), Map::new(), error.as_str().into()),
        };
        let time = self.time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        json!({
            "request_id": self.request_id,
            "time_unix_ms": u64::try_from(time).unwrap_or(u64::MAX),
            "model": self.model,
            "target_model": self.target_model,
            "priority": self.priority,
            "destinations": destinations,
            "set_headers": set_headers,
            "error": error,
            "candidates": self.candidates_to_json(),
            "profiles": self.runs.iter().map(|run| self.run_to_json(run)).collect::<Vec<_>>(),
        })
    }

    fn candidates_to_json(&self) -> Vec<Value> {
        let candidate = |(index, seen): (usize, &Seen)| {
            let EngineMetrics { waiting_requests, running_requests, kv_cache_usage, .. } = seen.metrics;
            json!({
                "endpoint": seen.endpoint.host_port,
                "name": seen.endpoint.spec.name,
                "role": seen.endpoint.role(),
                "in_flight": seen.in_flight,
                "waiting_requests": waiting_requests,
                "running_requests": running_requests,
                "kv_cache_usage": kv_cache_usage,
                "cached_blocks": self.prefix_matches.iter().map(|it| it.cached(index)).collect::<Vec<_>>(),
            })
        };
        self.candidates.iter().enumerate().map(candidate).collect()
    }

    fn run_to_json(&self, run: &ProfileRun) -> Value {
        let mut left: Vec<usize> = (0..self.candidates.len()).collect();
        let mut filters = Vec::with_capacity(run.filters.len());
        for filter in &run.filters {
            let verdict = |it| if filter.removed.contains(&it) { "removed" } else { "kept" };
            filters.push(
                json!({ "name": &*filter.plugin, "verdicts": self.map(&left, |_, it| verdict(it).into()) }),
            );
            left.retain(|it| !filter.removed.contains(it));
        }
        let scorers: Vec<Value> = run
            .scorers
            .iter()
            .map(|scorer| {
                let score = |position: usize, _| {
                    let raw = scorer.scores[position];
                    json!({ "raw": raw, "weighted": raw * scorer.weight })
                };
                json!({
                    "name": &*scorer.plugin,
                    "weight": scorer.weight,
                    "scores": self.map(&run.scored, score),
                })
            })
            .collect();
        json!({
            "name": &*run.profile,
            "filters": filters,
            "scorers": scorers,
            "totals": self.map(&run.scored, |position, _| run.totals[position].into()),
            "picked": self.names(&run.picked),
        })
    }

    fn name(&self, index: usize) -> &str {
        &self.candidates[index].endpoint.host_port
    }

    fn names(&self, indices: &[usize]) -> Vec<&str> {
        indices.iter().map(|&it| self.name(it)).collect()
    }

    /// An object from endpoints to what `value` says of their position in `indices` and their index.
    fn map(&self, indices: &[usize], value: impl Fn(usize, usize) -> Value) -> Map<String, Value> {
        indices
            .iter()
            .enumerate()
            .map(|(position, &index)| (self.name(index).to_owned(), value(position, index)))
            .collect()
    }
}

/// The start of a text that a client may have made as long as a request can be.
fn clipped(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_TEXT)].to_owned()
}

/// A bounded ring of decisions.
#[derive(Debug, Default)]
pub struct DecisionLog {
    last: Mutex<VecDeque<Arc<Decision>>>,
}

impl DecisionLog {
    /// Adds a decision and drops the oldest beyond the bound.
    pub fn push(&self, decision: Decision) {
        let decision = Arc::new(decision);
        let mut last = self.last.lock();
        let dropped = if last.len() == CAPACITY { last.pop_front() } else { None };
        last.push_back(decision);
        drop(last);
        // Freed outside the lock.
        drop(dropped);
    }

    /// The decisions, newest first, as the JSON body of `/debug/decisions`.
    #[must_use]
    pub fn snapshot(&self) -> Value {
        let decisions: Vec<_> = self.last.lock().iter().cloned().collect();
        json!({ "decisions": decisions.iter().rev().map(|it| it.to_json()).collect::<Vec<_>>() })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::testing::request;

    #[test]
    fn texts_of_clients_are_kept_short() {
        let (log, headers) = (DecisionLog::default(), HashMap::new());
        let mut request = request("", &headers);
        let long = "é".repeat(1 << 20);
        (request.id, request.model, request.target_model) =
            (long.as_str().into(), long.as_str().into(), long.as_str().into());
        log.push(Decision::rejected(&request, &[], Vec::new(), &long));
        assert!(log.snapshot().to_string().len() < 5 * MAX_TEXT);
    }

    #[test]
    fn keeps_the_last_ones_newest_first() {
        let (log, headers) = (DecisionLog::default(), HashMap::new());
        for number in 0..CAPACITY + 5 {
            let mut request = request("", &headers);
            request.id = number.to_string().into();
            log.push(Decision::rejected(&request, &[], Vec::new(), "nobody"));
        }
        let snapshot = log.snapshot();
        let decisions = snapshot["decisions"].as_array().unwrap();
        assert_eq!(decisions.len(), CAPACITY);
        assert_eq!(decisions[0]["request_id"], (CAPACITY + 4).to_string());
        assert_eq!(decisions[CAPACITY - 1]["request_id"], "5");
        assert_eq!(decisions[0]["error"], "nobody");
    }
}
