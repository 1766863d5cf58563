//! What is wrong with a service, all of it at once. The admission webhook and the reconciler ask the same
//! functions, so the controller is safe without the webhook.
//!
//! Errors forbid the object; warnings are shown to whoever wrote it. Everything here is a function of the object
//! alone: what needs knowledge of the cluster is in [`advice`].

use std::fmt;

use k8s_openapi::api::core::v1::LocalObjectReference;
use llmd_api::serving::v1alpha2::{LLMInferenceService, LLMInferenceServiceSpec, WorkloadSpec};

pub mod advice;
pub mod config;
mod dra;
mod immutable;
mod kv_cache;
mod model;
mod rollout;
mod route;
mod scaling;
mod scheduler;
mod workload;

/// One wrong field: where, what, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// JSON path from the object's root, as kubectl prints it: `spec.router.route.http`.
    pub path: String,
    pub kind: FieldErrorKind,
    /// What is wrong and how to mend it.
    pub detail: String,
}

/// The API machinery's classes of field errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldErrorKind {
    Required,
    /// With the value, as JSON.
    Invalid(String),
    NotSupported(String),
    Forbidden,
    Duplicate(String),
}

impl FieldErrorKind {
    /// The machine-readable cause, as in a Status' `details.causes[].reason`.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid(_) => "FieldValueInvalid",
            Self::NotSupported(_) => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::Duplicate(_) => "FieldValueDuplicate",
        }
    }
}

impl FieldError {
    /// A field that must be given.
    pub fn required(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { path: path.into(), kind: FieldErrorKind::Required, detail: detail.into() }
    }

    /// A field whose value cannot be used.
    pub fn invalid(path: impl Into<String>, value: impl fmt::Display, detail: impl Into<String>) -> Self {
        Self { path: path.into(), kind: FieldErrorKind::Invalid(value.to_string()), detail: detail.into() }
    }

    /// A value that this field cannot take here.
    pub fn not_supported(
        path: impl Into<String>,
        value: impl fmt::Display,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            path: path.into(),
            kind: FieldErrorKind::NotSupported(value.to_string()),
            detail: detail.into(),
        }
    }

    /// A field that must not be given.
    pub fn forbidden(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { path: path.into(), kind: FieldErrorKind::Forbidden, detail: detail.into() }
    }

    /// A value that must be unique and is not.
    pub fn duplicate(path: impl Into<String>, value: impl fmt::Display, detail: impl Into<String>) -> Self {
        Self { path: path.into(), kind: FieldErrorKind::Duplicate(value.to_string()), detail: detail.into() }
    }

    /// The error without its path.
    #[must_use]
    pub fn body(&self) -> String {
        let detail = &self.detail;
        match &self.kind {
            FieldErrorKind::Required => format!("Required value: {detail}"),
            FieldErrorKind::Invalid(value) => format!("Invalid value: {value}: {detail}"),
            FieldErrorKind::NotSupported(value) => format!("Unsupported value: {value}: {detail}"),
            FieldErrorKind::Forbidden => format!("Forbidden: {detail}"),
            FieldErrorKind::Duplicate(value) => format!("Duplicate value: {value}: {detail}"),
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.body())
    }
}

/// What validation found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// In the order of the spec's sections; empty = valid.
    pub errors: Vec<FieldError>,
    /// One sentence each, for whoever wrote the object.
    pub warnings: Vec<String>,
}

impl Verdict {
    /// Whether nothing forbids the object.
    #[must_use]
    pub const fn is_valid(&self) -> bool {
        self.errors.is_empty()
    }

    fn error(&mut self, error: FieldError) {
        self.errors.push(error);
    }

    fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }

    /// An [`FieldError::invalid`] at `path` when `value` is given and below `min`.
    fn at_least(&mut self, min: i32, path: impl fmt::Display, value: Option<i32>) {
        if let Some(value) = value.filter(|&it| it < min) {
            self.error(FieldError::invalid(
                path.to_string(),
                value,
                format!("set it to {min} or more, or leave it out"),
            ));
        }
    }
}

/// Checks `service`, and against `old` what may not change.
///
/// The spec may be the user's own or the effective one; the rules are the same.
#[must_use]
pub fn validate(service: &LLMInferenceService, old: Option<&LLMInferenceService>) -> Verdict {
    let mut verdict = Verdict::default();
    let spec = &service.spec;
    check_base_refs(&spec.base_refs, &mut verdict);
    if let Some(model) = &spec.model {
        model::check(model, service.metadata.name.as_deref().unwrap_or_default(), &mut verdict);
    }
    for (at, workload) in workloads(spec) {
        workload::check(at, workload, &mut verdict);
        scaling::check(at, workload, &mut verdict);
        kv_cache::check(at, workload, &mut verdict);
        rollout::check(at, workload, &mut verdict);
    }
    scaling::check_pair(spec, &mut verdict);
    if let Some(router) = &spec.router {
        route::check(router, service.metadata.namespace.as_deref().unwrap_or_default(), &mut verdict);
        if let Some(scheduler) = &router.scheduler {
            scheduler::check(scheduler, &mut verdict);
        }
    }
    if let Some(annotations) = &service.metadata.annotations {
        dra::check(annotations, &mut verdict);
    }
    if let Some(old) = old {
        immutable::check(&service.spec, &old.spec, &mut verdict);
    }
    if spec.base_refs.is_empty() {
        workload::warn_of_ignored_fields(spec, &mut verdict);
    }
    verdict
}

/// Checks a service that was written in the first version of the API, as [`validate`] does. This version refuses what
/// the second one warns of: gateways that are named twice.
#[must_use]
pub fn validate_v1alpha1(service: &LLMInferenceService, old: Option<&LLMInferenceService>) -> Verdict {
    let mut verdict = validate(service, old);
    if let Some(at) = verdict.warnings.iter().position(|it| it == route::SAME_GATEWAYS) {
        let detail = verdict.warnings.remove(at);
        verdict.error(FieldError::forbidden(route::PARENTS, detail));
    }
    verdict
}

/// Every reference names a config.
fn check_base_refs(references: &[LocalObjectReference], verdict: &mut Verdict) {
    for (index, _) in references.iter().enumerate().filter(|(_, it)| it.name.is_empty()) {
        verdict.error(FieldError::required(
            format!("spec.baseRefs[{index}].name"),
            "name an LLMInferenceServiceConfig of the service's namespace or of the installation's, or remove the entry",
        ));
    }
}

/// The workloads of a service and where they stand in it.
fn workloads(spec: &LLMInferenceServiceSpec) -> impl Iterator<Item = (&'static str, &WorkloadSpec)> {
    let prefill = spec.prefill.as_ref().map(|it| ("spec.prefill", it));
    [("spec", &spec.workload)].into_iter().chain(prefill)
}

/// Whether `name` is a DNS-1123 label: 1 to 63 lower-case letters, digits and inner dashes.
fn is_dns_label(name: &str) -> bool {
    let inner = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-';
    (1..=63).contains(&name.len())
        && name.bytes().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

#[cfg(test)]
mod tests;
