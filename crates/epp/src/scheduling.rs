//! The scheduling cycle: profile handler → filters → weighted scores → picker.
//!
//! A synchronous function of a request, a snapshot of endpoints and a random number generator. Every step is
//! recorded in the [`ProfileRun`] it produces, so a decision can be explained afterwards without being made
//! twice.

use std::sync::Arc;
use std::time::Instant;

use indexmap::IndexMap;
use prometheus::Histogram;
use rand::RngCore;

use crate::datastore::{Endpoint, EngineMetrics};
use crate::plugin::{Filter, Picker, Scorer};
use crate::request::InferenceRequest;

/// An endpoint that may serve the request, with its metrics as they were when the request came.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Position among all candidates of the request; filters do not change it.
    pub index: usize,
    /// The endpoint.
    pub endpoint: &'a Arc<Endpoint>,
    /// Its metrics.
    pub metrics: EngineMetrics,
}

impl<'a> Candidate<'a> {
    /// Reads the endpoint's metrics.
    #[must_use]
    pub fn new(index: usize, endpoint: &'a Arc<Endpoint>) -> Self {
        Self { index, endpoint, metrics: endpoint.state.metrics() }
    }
}

/// A plugin at one place of the cycle, timed.
#[derive(Debug, Clone)]
pub struct Stage<T: ?Sized> {
    /// Name in the configuration.
    pub name: Arc<str>,
    /// Wire type.
    pub type_name: &'static str,
    /// The plugin.
    pub plugin: Arc<T>,
    /// `plugin_duration_seconds` of this place.
    pub duration: Histogram,
}

impl<T: ?Sized> Stage<T> {
    /// Calls the plugin and records how long it took.
    pub fn run<R>(&self, call: impl FnOnce(&T) -> R) -> R {
        let start = Instant::now();
        let result = call(&self.plugin);
        self.duration.observe(start.elapsed().as_secs_f64());
        result
    }
}

/// A pipeline of filters, weighted scorers and a picker.
#[derive(Debug)]
pub struct Profile {
    /// Name in the configuration.
    pub name: Arc<str>,
    /// In order.
    pub filters: Vec<Stage<dyn Filter>>,
    /// With weights.
    pub scorers: Vec<(Stage<dyn Scorer>, f64)>,
    /// Chooses from what is left.
    pub picker: Stage<dyn Picker>,
}

/// What one profile did with the candidates. Numbers are [`Candidate::index`] unless said otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct ProfileRun {
    /// The profile.
    pub profile: Arc<str>,
    /// Each filter that ran and whom it removed.
    pub filters: Vec<FilterVerdict>,
    /// Candidates that were scored.
    pub scored: Vec<usize>,
    /// Each scorer's scores, parallel to `scored`.
    pub scorers: Vec<ScorerVerdict>,
    /// Weighted sums, parallel to `scored`.
    pub totals: Vec<f64>,
    /// The pick, best first; empty when filters left nobody.
    pub picked: Vec<usize>,
}

/// One filter's work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterVerdict {
    /// Name of the filter.
    pub plugin: Arc<str>,
    /// Candidates it removed.
    pub removed: Vec<usize>,
}

/// One scorer's work.
#[derive(Debug, Clone, PartialEq)]
pub struct ScorerVerdict {
    /// Name of the scorer.
    pub plugin: Arc<str>,
    /// Its weight in the profile.
    pub weight: f64,
    /// Clamped scores before weighting.
    pub scores: Vec<f64>,
}

impl Profile {
    /// Runs the pipeline: `S(e) = Σ weight · clamp(score(e), 0, 1)`, not divided by the sum of weights.
    pub fn run(
        &self,
        request: &InferenceRequest<'_>,
        candidates: &[Candidate<'_>],
        rng: &mut dyn RngCore,
    ) -> ProfileRun {
        let (candidates, filters) = self.filter(request, candidates);
        let scorers: Vec<_> = self.scorers.iter().map(|it| score(it, request, &candidates)).collect();
        let mut totals = vec![0.0; candidates.len()];
        for verdict in &scorers {
            for (total, score) in totals.iter_mut().zip(&verdict.scores) {
                *total += verdict.weight * score;
            }
        }
        let positions =
            if totals.is_empty() { Vec::new() } else { self.picker.run(|picker| picker.pick(&totals, rng)) };
        ProfileRun {
            profile: Arc::clone(&self.name),
            filters,
            picked: positions.into_iter().map(|it| candidates[it].index).collect(),
            scored: candidates.iter().map(|it| it.index).collect(),
            scorers,
            totals,
        }
    }

    fn filter<'a>(
        &self,
        request: &InferenceRequest<'_>,
        candidates: &[Candidate<'a>],
    ) -> (Vec<Candidate<'a>>, Vec<FilterVerdict>) {
        let mut left = candidates.to_vec();
        let mut verdicts = Vec::with_capacity(self.filters.len());
        for stage in &self.filters {
            if left.is_empty() {
                break;
            }
            let mut keep = vec![true; left.len()];
            stage.run(|filter| filter.filter(request, &left, &mut keep));
            let mut removed = Vec::new();
            let mut verdict_of = keep.into_iter();
            left.retain(|candidate| {
                let kept = verdict_of.next().unwrap_or(true);
                if !kept {
                    removed.push(candidate.index);
                }
                kept
            });
            verdicts.push(FilterVerdict { plugin: Arc::clone(&stage.name), removed });
        }
        (left, verdicts)
    }
}

fn score(
    (stage, weight): &(Stage<dyn Scorer>, f64),
    request: &InferenceRequest<'_>,
    candidates: &[Candidate<'_>],
) -> ScorerVerdict {
    let mut scores = vec![0.0; candidates.len()];
    stage.run(|scorer| scorer.score(request, candidates, &mut scores));
    for score in &mut scores {
        // A score that is not a number must not decide anything.
        *score = if score.is_nan() { 0.0 } else { score.clamp(0.0, 1.0) };
    }
    ScorerVerdict { plugin: Arc::clone(&stage.name), weight: *weight, scores }
}

/// Everything a profile handler works on.
pub struct Cycle<'c, 'a> {
    /// The request.
    pub request: &'c InferenceRequest<'c>,
    /// Who may serve it.
    pub candidates: &'c [Candidate<'a>],
    profiles: &'c IndexMap<Arc<str>, Profile>,
    rng: &'c mut dyn RngCore,
    runs: Vec<ProfileRun>,
}

impl std::fmt::Debug for Cycle<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cycle")
            .field("request", &self.request.id)
            .field("runs", &self.runs)
            .finish_non_exhaustive()
    }
}

impl<'c, 'a> Cycle<'c, 'a> {
    /// A cycle in which nothing ran yet.
    pub fn new(
        request: &'c InferenceRequest<'c>,
        candidates: &'c [Candidate<'a>],
        profiles: &'c IndexMap<Arc<str>, Profile>,
        rng: &'c mut dyn RngCore,
    ) -> Self {
        Self { request, candidates, profiles, rng, runs: Vec::with_capacity(profiles.len()) }
    }

    /// Names of all profiles, in the order of the configuration.
    pub fn profile_names(&self) -> impl Iterator<Item = &'c Arc<str>> + use<'c, 'a> {
        self.profiles.keys()
    }

    /// Runs the profile called `name`. Returns the number of the run and its best candidate; none when there is
    /// no such profile or its filters left nobody.
    pub fn run(&mut self, name: &str) -> Option<(usize, Candidate<'a>)> {
        let profile = self.profiles.get(name)?;
        let run = profile.run(self.request, self.candidates, self.rng);
        let best = run.picked.first().copied();
        self.runs.push(run);
        Some((self.runs.len() - 1, self.candidates[best?]))
    }

    /// Ends the cycle.
    #[must_use]
    pub fn into_runs(self) -> Vec<ProfileRun> {
        self.runs
    }
}

/// The result of a cycle.
#[derive(Debug)]
pub struct Schedule<'a> {
    /// Who could have been picked.
    pub candidates: Vec<Candidate<'a>>,
    /// What ran.
    pub runs: Vec<ProfileRun>,
    /// The run whose pick is the destination.
    pub primary: usize,
}

impl<'a> Schedule<'a> {
    /// Destinations, best first.
    pub fn destinations(&self) -> impl Iterator<Item = &'a Arc<Endpoint>> + '_ {
        self.runs[self.primary].picked.iter().map(|&index| self.candidates[index].endpoint)
    }

    /// The best pick of the profile called `name`, if it ran and found one.
    #[must_use]
    pub fn picked_by(&self, name: &str) -> Option<&'a Arc<Endpoint>> {
        let run = self.runs.iter().find(|run| &*run.profile == name)?;
        run.picked.first().map(|&index| self.candidates[index].endpoint)
    }

    /// The best pick of every run.
    pub fn best_of_each_run(&self) -> impl Iterator<Item = &'a Arc<Endpoint>> + '_ {
        self.runs.iter().filter_map(|run| run.picked.first()).map(|&index| self.candidates[index].endpoint)
    }
}

/// Why no endpoint was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Filters removed every candidate.
    #[error("no endpoints available for the given request")]
    NoEndpoint,
    /// Nobody can decode.
    #[error("failed to find target endpoint: failed to find available decode workers")]
    NoDecode,
}

impl ScheduleError {
    /// Value of `x-llm-d-request-dropped-reason`.
    #[must_use]
    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Self::NoEndpoint => Some("rejected-saturated"),
            Self::NoDecode => None,
        }
    }
}

#[cfg(test)]
mod tests;
