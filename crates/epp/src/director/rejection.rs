//! Refused requests as HTTP, with the codes and texts of the llm-d router.

use crate::plugin::ParseError;
use crate::scheduling::ScheduleError;

/// Text of the rejection without candidates.
pub(super) const NO_CANDIDATES: &str = "failed to find endpoint candidates for serving the request";

/// Text of the rejection of what is worth least while the engines are full.
pub(super) const SHED: &str = "system saturated, sheddable request dropped";

/// A refused request, as HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// HTTP status.
    pub status: u16,
    /// `<Code> - <message>` text of the peers, without their `inference error: ` prefix.
    pub message: String,
    /// Value of `x-llm-d-request-dropped-reason`.
    pub reason: Option<&'static str>,
}

impl Rejection {
    fn new(status: u16, text: &str, reason: Option<&'static str>) -> Self {
        Self { status, message: format!("{} - {text}", code(status)), reason }
    }

    /// The client's request is wrong.
    #[must_use]
    pub fn bad_request(text: &str) -> Self {
        Self::new(400, text, None)
    }

    /// The picker cannot answer.
    #[must_use]
    pub fn internal(text: &str) -> Self {
        Self::new(500, text, None)
    }

    /// The pool or the subset is empty.
    #[must_use]
    pub fn no_candidates() -> Self {
        Self::new(503, NO_CANDIDATES, Some("rejected-no-endpoints"))
    }

    /// The request's priority is negative and the engines are full.
    #[must_use]
    pub fn shed() -> Self {
        Self::new(429, SHED, None)
    }

    /// The code's name, label of the error metric.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        code(self.status)
    }
}

const fn code(status: u16) -> &'static str {
    match status {
        400 => "BadRequest",
        429 => "ResourceExhausted",
        503 => "ServiceUnavailable",
        _ => "Internal",
    }
}

impl From<ParseError> for Rejection {
    fn from(error: ParseError) -> Self {
        Self::bad_request(&error.to_string())
    }
}

impl From<ScheduleError> for Rejection {
    fn from(error: ScheduleError) -> Self {
        Self::new(429, &error.to_string(), error.reason())
    }
}
