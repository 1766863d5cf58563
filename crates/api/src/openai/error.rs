//! The error object.

use serde::{Deserialize, Serialize};

/// Body of every error response: `{"error": {...}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorResponse {
    /// The error.
    pub error: ErrorInfo,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorInfo {
    /// For people.
    pub message: String,
    /// For programs, such as `BadRequestError`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The request field at fault.
    pub param: Option<String>,
    /// The HTTP status.
    pub code: u16,
}

impl ErrorResponse {
    /// An error without a field at fault.
    #[must_use]
    pub fn new(code: u16, kind: &str, message: impl Into<String>) -> Self {
        Self { error: ErrorInfo { message: message.into(), kind: kind.to_owned(), param: None, code } }
    }
}
