//! What is reported: conditions, URLs, workloads. Pure: from the service, its facts and its live objects.

use std::collections::BTreeMap;

use llmd_api::serving::conditions as types;
use llmd_api::serving::status::{AppliedConfig, LLMInferenceServiceStatus};

use crate::llmisvc::service::Service;
use conditions::{Conditions, Verdict};

pub mod conditions;

/// Something that keeps one section of a service from being what its spec asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SectionFailure {
    /// The condition that reports it, one of [`llmd_api::serving::conditions`].
    pub condition: &'static str,
    /// CamelCase reason of that condition.
    pub reason: &'static str,
    /// Names the field or object, and the way out.
    pub message: String,
    /// Whether it is not known if anything is wrong: the condition becomes Unknown instead of False.
    pub unknown: bool,
}

impl SectionFailure {
    /// A failure that makes `condition` False.
    pub fn new(condition: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { condition, reason, message: message.into(), unknown: false }
    }

    /// The same with the condition Unknown.
    #[must_use]
    pub fn unknown(self) -> Self {
        Self { unknown: true, ..self }
    }

    fn verdict(&self) -> Verdict {
        let verdict = if self.unknown { Verdict::unknown } else { Verdict::no };
        verdict(self.reason, &self.message)
    }
}

/// How far this reconciliation came.
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress<'a> {
    /// `metadata.generation` of the service that was worked on.
    pub generation: i64,
    /// The configs that went into the effective spec.
    pub applied: &'a [AppliedConfig],
    /// Preset names to stay with.
    pub pins: Option<&'a BTreeMap<String, String>>,
    /// What went wrong; the first failure of a condition is the one reported.
    pub failures: &'a [SectionFailure],
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
    for failure in progress.failures.iter().rev() {
        conditions.mark(failure.condition, failure.verdict());
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
    failure: &SectionFailure,
    previous: &LLMInferenceServiceStatus,
    now: &str,
) -> LLMInferenceServiceStatus {
    let mut conditions = Conditions::keep(&previous.conditions, now);
    conditions.mark(failure.condition, failure.verdict());
    LLMInferenceServiceStatus {
        observed_generation: Some(generation),
        conditions: conditions.finish(),
        ..previous.clone()
    }
}
