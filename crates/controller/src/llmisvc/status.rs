//! What is reported: conditions, URLs, workloads. Pure: from the service, its facts and its live objects.

use std::collections::BTreeMap;

use llmd_api::serving::conditions as types;
use llmd_api::serving::status::{AppliedConfig, Condition, LLMInferenceServiceStatus};

use crate::llmisvc::section::SectionError;
use crate::llmisvc::service::Service;
use conditions::{Conditions, Verdict};

pub mod addresses;
pub mod conditions;
pub mod events;
pub mod group;
pub mod pool;
pub mod router;
pub mod scaling;
mod stop;
pub mod urls;
pub mod workloads;

/// What `WorkloadsReady` sums up; the first one that is False explains it.
const WORKLOAD_PARTS: [&str; 6] = [
    types::MAIN_WORKLOAD_READY,
    types::WORKER_WORKLOAD_READY,
    types::PREFILL_WORKLOAD_READY,
    types::PREFILL_WORKER_WORKLOAD_READY,
    types::SCALING_READY,
    types::PREFILL_SCALING_READY,
];

/// What `RouterReady` sums up; the first one that is False explains it.
const ROUTER_PARTS: [&str; 5] = [
    types::GATEWAYS_READY,
    types::HTTP_ROUTES_READY,
    types::INFERENCE_POOL_READY,
    types::SCHEDULER_WORKLOAD_READY,
    types::TOKENIZER_READY,
];

/// How far this reconciliation came.
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress<'a> {
    /// `metadata.generation` of the service that was worked on.
    pub generation: i64,
    /// The configs that went into the effective spec.
    pub applied: &'a [AppliedConfig],
    /// Preset names to stay with.
    pub pins: Option<&'a BTreeMap<String, String>>,
    /// What went wrong; the first error of a condition is the one reported.
    pub errors: &'a [SectionError],
}

/// The status of a service whose objects have been applied. `previous` is the status it has, for transition
/// times; `now` is RFC 3339 in UTC, to the second.
#[must_use]
pub fn status(
    service: &Service,
    progress: &Progress<'_>,
    previous: &LLMInferenceServiceStatus,
    now: &str,
) -> LLMInferenceServiceStatus {
    let status = LLMInferenceServiceStatus {
        observed_generation: Some(progress.generation),
        conditions: conditions(service, progress.errors, previous, now),
        annotations: annotations(progress.pins, previous),
        applied_configs: progress.applied.to_vec(),
        mode: Some(workloads::mode(service)),
        ..LLMInferenceServiceStatus::default()
    };
    if service.is_stopped() {
        return status;
    }
    let (url, addresses) = addresses::addresses(service);
    let (replicas, selector) = workloads::scale(service);
    LLMInferenceServiceStatus {
        url,
        addresses,
        router: router::status(service),
        workloads: Some(workloads::references(service)),
        replicas,
        selector,
        ..status
    }
}

/// The status of a service whose turn `error` cut short: everything else stays as it was, because nothing was done.
#[must_use]
pub fn cut_short(
    generation: i64,
    error: &SectionError,
    previous: &LLMInferenceServiceStatus,
    now: &str,
) -> LLMInferenceServiceStatus {
    let mut conditions = Conditions::keep(&previous.conditions, now);
    conditions.mark(error.condition, Verdict::of_error(error));
    LLMInferenceServiceStatus {
        observed_generation: Some(generation),
        conditions: conditions.finish(),
        ..previous.clone()
    }
}

/// The status of a service that is deleted but must wait for `peers` of its routing group, whose routes still send
/// requests to it.
#[must_use]
pub fn awaiting_group(
    generation: i64,
    peers: &[String],
    previous: &LLMInferenceServiceStatus,
    now: &str,
) -> LLMInferenceServiceStatus {
    let message = format!(
        "routes of {} still send requests to this service; mend or delete those of them that are not ready",
        peers.join(", ")
    );
    let error = SectionError::new(types::GROUP_READY, "FinalizationPending", message);
    cut_short(generation, &error, previous, now)
}

/// Every condition from what is known now; errors of sections come first.
fn conditions(
    service: &Service,
    errors: &[SectionError],
    previous: &LLMInferenceServiceStatus,
    now: &str,
) -> Vec<Condition> {
    let mut conditions = Conditions::new(&previous.conditions, now);
    conditions.mark(types::PRESETS_COMBINED, Verdict::True);
    if service.is_stopped() {
        stop::mark(service, &mut conditions);
    } else {
        workloads::mark(service, &mut conditions);
        workloads::mark_scheduler(service, &mut conditions);
        scaling::mark(service, &mut conditions);
        router::mark(service, &mut conditions);
        group::mark(service, &mut conditions);
    }
    // In reverse, so that of several errors of one condition the first one stays.
    for error in errors.iter().rev() {
        conditions.mark(error.condition, stop::verdict(service, error));
    }
    conditions.mark_from(types::WORKLOADS_READY, &WORKLOAD_PARTS);
    conditions.mark_from(types::ROUTER_READY, &ROUTER_PARTS);
    conditions.finish()
}

/// Pinned presets are kept for good.
fn annotations(
    pins: Option<&BTreeMap<String, String>>,
    previous: &LLMInferenceServiceStatus,
) -> BTreeMap<String, String> {
    let mut annotations = previous.annotations.clone();
    annotations.extend(pins.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())));
    annotations
}

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod tests;
