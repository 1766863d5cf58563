//! What is wrong with a service, all of it at once. The admission webhook and the reconciler ask the same
//! functions, so the controller is safe without the webhook.

use std::fmt;

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

impl FieldError {
    /// A field that must be given.
    pub fn required(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { path: path.into(), kind: FieldErrorKind::Required, detail: detail.into() }
    }

    /// A field whose value cannot be used.
    pub fn invalid(path: impl Into<String>, value: impl fmt::Display, detail: impl Into<String>) -> Self {
        Self { path: path.into(), kind: FieldErrorKind::Invalid(value.to_string()), detail: detail.into() }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, kind, detail } = self;
        match kind {
            FieldErrorKind::Required => write!(f, "{path}: Required value: {detail}"),
            FieldErrorKind::Invalid(value) => write!(f, "{path}: Invalid value: {value}: {detail}"),
            FieldErrorKind::NotSupported(value) => write!(f, "{path}: Unsupported value: {value}: {detail}"),
            FieldErrorKind::Forbidden => write!(f, "{path}: Forbidden: {detail}"),
            FieldErrorKind::Duplicate(value) => write!(f, "{path}: Duplicate value: {value}: {detail}"),
        }
    }
}
