//! What is reported: conditions, URLs, workloads. Pure: from the service, its facts and its live objects.

use std::collections::BTreeMap;

use llmd_api::serving::conditions as types;
use llmd_api::serving::status::{AppliedConfig, LLMInferenceServiceStatus};

use crate::llmisvc::section::SectionError;
use crate::llmisvc::service::Service;
use conditions::{Conditions, Verdict};

pub mod conditions;

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
    _service: &Service,
    progress: &Progress<'_>,
    previous: &LLMInferenceServiceStatus,
    now: &str,
) -> LLMInferenceServiceStatus {
    let mut conditions = Conditions::new(&previous.conditions, now);
    conditions.mark(types::PRESETS_COMBINED, Verdict::True);
    for error in progress.errors.iter().rev() {
        conditions.mark(error.condition, Verdict::of_error(error));
    }
    let mut annotations = previous.annotations.clone();
    annotations.extend(progress.pins.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())));
    LLMInferenceServiceStatus {
        observed_generation: Some(progress.generation),
        conditions: conditions.finish(),
        annotations,
        applied_configs: progress.applied.to_vec(),
        ..previous.clone()
    }
}

/// The status of a service whose configs cannot be combined: everything else stays as it was, because nothing
/// was done.
#[must_use]
pub fn not_combined(
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
