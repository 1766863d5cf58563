//! One request through the endpoint picker: parse, pick endpoints, tell the backend what to know.
//!
//! Both edges (Envoy's ext_proc stream and the native proxy) call the same director, so a request is treated
//! the same whichever gateway carries it. Nothing here waits: a call is a function of the request and of the
//! endpoints at that moment.
//!
//! Not here: buffering of bodies, HTTP and gRPC, removal of a client's routing headers (the edges do that).

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use llmd_api::headers;
use rand::seq::IndexedRandom;

use crate::config::graph::Graph;
use crate::datastore::{Datastore, Endpoint};
use crate::decisions::{Decision, DecisionLog};
use crate::metrics::{Metrics, RequestMetrics};
use crate::plugin::ParsedBody;
use crate::policies::Policies;
use crate::request::{InferenceRequest, rewrite};
use crate::scheduling::{Candidate, Cycle, Schedule, ScheduleError};

pub mod candidates;
mod parsers;
mod rejection;
mod tracker;
pub mod usage;

use parsers::Parsers;
pub use rejection::Rejection;
pub use tracker::RequestTracker;

/// What is known of a request before its body.
#[derive(Debug, Clone, Default)]
pub struct RequestHead {
    /// From `x-request-id`, or made by the edge.
    pub request_id: String,
    /// Path without query.
    pub path: String,
    /// Lower-case names; of repeated headers the last value.
    pub headers: HashMap<String, String>,
    /// Candidate subset (`ip:port`) from the gateway's metadata; `Some(vec![])` means no candidate.
    pub subset: Option<Vec<String>>,
    /// Endpoints (`ip:port`) that failed for this request already and must not be picked again.
    pub excluded: Vec<String>,
}

/// A routed request.
#[derive(Debug)]
pub struct Routed {
    /// `ip:port`, best first.
    pub destinations: Vec<String>,
    /// Headers to set on the request to the backend, such as the prefill endpoint.
    pub set_headers: Vec<(String, String)>,
    /// The body to send: the client's bytes, or a copy whose `model` was rewritten.
    pub body: Bytes,
}

/// Picks endpoints. Shared by every task of both edges; no method blocks or awaits.
#[derive(Debug)]
pub struct Director {
    datastore: Arc<Datastore>,
    graph: Graph,
    parsers: Parsers,
    policies: Arc<Policies>,
    metrics: Arc<Metrics>,
    decisions: DecisionLog,
}

impl Director {
    /// A director over the endpoints of `datastore`, under `policies` as they are at each request.
    #[must_use]
    pub fn new(
        datastore: Arc<Datastore>,
        graph: Graph,
        policies: Arc<Policies>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let parsers = Parsers::new(graph.parsers.clone());
        Self { datastore, graph, parsers, policies, metrics, decisions: DecisionLog::default() }
    }

    /// The last decisions, for `/debug/decisions`.
    #[must_use]
    pub const fn decisions(&self) -> &DecisionLog {
        &self.decisions
    }

    /// Whether any endpoint answers.
    #[must_use]
    pub fn has_reachable_endpoint(&self) -> bool {
        self.datastore.endpoints().iter().any(|it| it.state.is_reachable())
    }

    /// Updates pool-wide gauges and lets producers forget endpoints that left.
    pub fn refresh(&self) {
        let endpoints = self.datastore.endpoints();
        self.metrics.set_pool(&endpoints);
        for producer in &self.graph.producers {
            producer.plugin.refresh(&endpoints);
        }
    }

    /// Routes a request that has no body: any endpoint of the pool can answer it.
    ///
    /// # Errors
    /// A [`Rejection`] with status 500 when the pool is empty.
    pub fn route_headers_only(&self, head: &RequestHead) -> Result<(Routed, RequestTracker), Rejection> {
        let endpoints = self.datastore.endpoints();
        let candidates = candidates::for_any_request(&endpoints, &head.excluded);
        let endpoint = candidates
            .choose(&mut rand::rng())
            .ok_or_else(|| Rejection::internal("no pods available in datastore"))?;
        let routed = Routed {
            destinations: vec![endpoint.host_port.clone()],
            set_headers: Vec::new(),
            body: Bytes::new(),
        };
        Ok((routed, RequestTracker::uncounted(endpoint.state.start_request())))
    }

    /// Routes a request whose body is complete.
    ///
    /// # Errors
    /// A [`Rejection`] that says, as HTTP, why no endpoint may serve the request.
    pub fn route(&self, head: RequestHead, body: Bytes) -> Result<(Routed, RequestTracker), Rejection> {
        let received = Instant::now();
        let RequestHead { request_id, path, headers, subset, excluded } = head;
        let is_first_attempt = excluded.is_empty();
        let parsed = self.parsers.parse(&path, &body).inspect_err(|rejection| {
            self.metrics.request("", "", "", 0).count_error(rejection.code());
        })?;
        let ParsedBody { model, cache_salt, prompt } = parsed;
        let (model, model_span) = model.unzip();
        let model = model.unwrap_or_default();
        let target_model = match &model_span {
            Some(_) => self.target_model(&model, &headers, is_first_attempt),
            None => model.clone(),
        };
        let priority = self.policies.priority(header(&headers, &headers::OBJECTIVE));
        let fairness_id = header(&headers, &headers::FAIRNESS_ID).unwrap_or_default();
        let metrics = self.metrics.request(&model, &target_model, fairness_id, priority);
        if is_first_attempt {
            metrics.count(body.len());
        }
        let request = InferenceRequest {
            id: request_id.into(),
            model,
            target_model,
            priority,
            cache_salt,
            prompt,
            headers: &headers,
            prefix_matches: Vec::with_capacity(self.graph.producers.len()),
        };

        let endpoints = self.datastore.endpoints();
        let candidates = candidates::for_inference(&endpoints, subset.as_deref(), &excluded);
        let rewritten = model_span
            .filter(|_| request.model != request.target_model)
            .map(|span| rewrite::replace_model(&body, span, &request.target_model));
        let (routed, tracker) = self
            .pick(request, candidates, &metrics, received)
            .inspect_err(|rejection| metrics.count_error(rejection.code()))?;
        let body = rewritten.unwrap_or(body);
        Ok((Routed { body, ..routed }, tracker))
    }

    /// The model that serves a request for `model`: as the operator's rewrites say, then as the header says.
    fn target_model<'m>(
        &self,
        model: &Cow<'m, str>,
        headers: &'m HashMap<String, String>,
        is_first_attempt: bool,
    ) -> Cow<'m, str> {
        let rewrites = self.policies.rewrites();
        if let Some((target, rewrite)) = rewrites.target(model, &mut rand::rng()) {
            if is_first_attempt {
                self.metrics.count_rewrite(rewrite, model, target);
            }
            return Cow::Owned(target.to_owned());
        }
        header(headers, &headers::MODEL_NAME_REWRITE).map_or_else(|| model.clone(), Cow::Borrowed)
    }

    /// Schedules, remembers the decision and starts to track the request.
    fn pick(
        &self,
        mut request: InferenceRequest<'_>,
        candidates: Vec<Candidate<'_>>,
        metrics: &RequestMetrics,
        received: Instant,
    ) -> Result<(Routed, RequestTracker), Rejection> {
        if candidates.is_empty() {
            self.decisions.push(Decision::rejected(&request, &[], Vec::new(), rejection::NO_CANDIDATES));
            return Err(Rejection::no_candidates());
        }
        if request.priority < 0 && self.graph.detector.saturation(&candidates) >= 1.0 {
            self.decisions.push(Decision::rejected(&request, &candidates, Vec::new(), rejection::SHED));
            return Err(Rejection::shed());
        }
        let blocks = self.produce(&mut request, &candidates);
        let schedule = self.schedule(&request, candidates)?;
        for ((producer, matches), blocks) in
            self.graph.producers.iter().zip(&request.prefix_matches).zip(&blocks)
        {
            producer.plugin.remember(&schedule, matches, blocks);
        }
        for (scorer, _) in self.graph.profiles.values().flat_map(|it| &it.scorers) {
            scorer.plugin.picked(&request, &schedule);
        }
        let set_headers = self.graph.handler.plugin.prepare(&request, &schedule);
        let destinations =
            schedule.destinations().map(|it| self.graph.handler.plugin.destination(it)).collect();
        let tracker = RequestTracker::new(metrics.clone(), received, &request, in_flight(&schedule));
        self.decisions.push(Decision::routed(&request, schedule, set_headers.clone()));
        Ok((Routed { destinations, set_headers, body: Bytes::new() }, tracker))
    }

    /// Runs the prefix producers; returns each one's blocks, to be remembered after the pick.
    fn produce(&self, request: &mut InferenceRequest<'_>, candidates: &[Candidate<'_>]) -> Vec<Vec<u64>> {
        let mut blocks_of_each = Vec::with_capacity(self.graph.producers.len());
        for producer in &self.graph.producers {
            let (matches, blocks) = producer.run(|it| it.look_up(request, candidates));
            request.prefix_matches.push(matches);
            blocks_of_each.push(blocks);
        }
        blocks_of_each
    }

    fn schedule<'a>(
        &self,
        request: &InferenceRequest<'_>,
        candidates: Vec<Candidate<'a>>,
    ) -> Result<Schedule<'a>, ScheduleError> {
        let start = Instant::now();
        let mut rng = rand::rng();
        let mut cycle = Cycle::new(request, &candidates, &self.graph.profiles, &mut rng);
        let outcome = self.graph.handler.run(|handler| handler.schedule(&mut cycle));
        let runs = cycle.into_runs();
        self.metrics.scheduler_duration().observe(start.elapsed().as_secs_f64());
        match outcome {
            Ok(primary) => {
                let schedule = Schedule { candidates, runs, primary };
                let chosen = schedule.destinations().next().map(Arc::as_ref);
                self.metrics.count_scheduling(&request.target_model, chosen);
                Ok(schedule)
            }
            Err(error) => {
                self.metrics.count_scheduling(&request.target_model, None);
                self.decisions.push(Decision::rejected(request, &candidates, runs, &error.to_string()));
                Err(error)
            }
        }
    }
}

/// Counts the request at its destination first, then at the endpoints of other stages.
fn in_flight(schedule: &Schedule<'_>) -> Vec<crate::datastore::InFlight> {
    let destination: Option<&Arc<Endpoint>> = schedule.destinations().next();
    let others =
        schedule.best_of_each_run().filter(|it| destination.is_none_or(|other| !Arc::ptr_eq(it, other)));
    destination.into_iter().chain(others).map(|it| it.state.start_request()).collect()
}

/// The value under the first of `names` that is there and not empty.
fn header<'h>(headers: &'h HashMap<String, String>, names: &[&str]) -> Option<&'h str> {
    names.iter().filter_map(|name| headers.get(*name)).map(String::as_str).find(|it| !it.is_empty())
}

#[cfg(test)]
mod tests;
