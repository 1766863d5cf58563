//! What a machine or a cluster lacks, as an error: the story that meets it is skipped and has not failed.

use std::fmt::{Display, Formatter};

use anyhow::Result;

/// Why something was not tried.
#[derive(Debug)]
pub struct Skip(pub String);

impl Display for Skip {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Skip {}

/// Leaves the story because of what is missing.
///
/// # Errors
/// Always.
pub fn skip<T>(reason: impl Into<String>) -> Result<T> {
    Err(Skip(reason.into()).into())
}
