//! What a section of the pipeline finds wrong with a service before anything is rendered.
//!
//! Each section has a pure `check(&Service) -> Vec<SectionError>`; the reconciler asks all of them and reports every
//! error on the condition it belongs to. Wrong fields of the manifest are `validate`'s; these errors come from the
//! service together with its surroundings.

/// Why a section cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SectionError {
    /// Condition that reports it: one of [`llmd_api::serving::conditions`].
    pub condition: &'static str,
    /// Reason of that condition.
    pub reason: &'static str,
    /// What is wrong, at which field, and how to mend it.
    pub message: String,
    /// Whether it is not known if anything is wrong: the condition becomes Unknown instead of False.
    pub unknown: bool,
}

impl SectionError {
    /// An error of `condition` with `reason`.
    #[must_use]
    pub const fn new(condition: &'static str, reason: &'static str, message: String) -> Self {
        Self { condition, reason, message, unknown: false }
    }

    /// The same error when it cannot be told whether anything is wrong.
    #[must_use]
    pub fn unknown(self) -> Self {
        Self { unknown: true, ..self }
    }
}
