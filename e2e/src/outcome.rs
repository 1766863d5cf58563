//! Waiting for what comes about by itself.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const POLL: Duration = Duration::from_millis(100);

/// Polls until `found` answers with something; `what` is for the message when it does not.
///
/// # Errors
/// When it does not within `deadline`, with the last error of `found`.
pub fn eventually<T>(
    deadline: Duration,
    what: &str,
    mut found: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    let mut last = None;
    while start.elapsed() < deadline {
        match found() {
            Ok(Some(it)) => return Ok(it),
            Ok(None) => last = None,
            Err(error) => last = Some(error),
        }
        std::thread::sleep(POLL);
    }
    let last = last.map(|it| format!(" (last error: {it:#})")).unwrap_or_default();
    bail!("not after {deadline:?}: {what}{last}")
}
