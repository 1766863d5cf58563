//! How far the download is, for the log.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Time between two lines of the log.
const INTERVAL: Duration = Duration::from_secs(5);

/// Counts bytes of all files.
#[derive(Debug)]
pub struct Progress {
    /// Bytes that are there.
    done: AtomicU64,
    /// Those of them that an earlier run brought.
    found: AtomicU64,
    /// Sum of the sizes that are known.
    total: u64,
    started: Instant,
}

impl Progress {
    /// Nothing of `total` bytes is there.
    #[must_use]
    pub fn new(total: u64) -> Self {
        Self { done: AtomicU64::new(0), found: AtomicU64::new(0), total, started: Instant::now() }
    }

    /// What a run brought, in words.
    #[must_use]
    pub fn summary(&self, n_files: usize) -> String {
        self.summary_after(self.started.elapsed(), n_files)
    }

    fn summary_after(&self, elapsed: Duration, n_files: usize) -> String {
        let (done, found) = (self.done.load(Ordering::Relaxed), self.found.load(Ordering::Relaxed));
        let seconds = elapsed.as_secs_f64();
        format!(
            "{n_files} files, {} MB in {seconds:.1} s ({:.1} MB/s), {} MB were there",
            megabytes(done),
            self.rate(elapsed),
            megabytes(found.min(done))
        )
    }

    pub(crate) fn add(&self, n_bytes: u64) {
        self.done.fetch_add(n_bytes, Ordering::Relaxed);
    }

    /// Bytes that are there without having been downloaded now.
    pub(crate) fn found(&self, n_bytes: u64) {
        self.found.fetch_add(n_bytes, Ordering::Relaxed);
        self.add(n_bytes);
    }

    pub(crate) fn take_back(&self, n_bytes: u64) {
        let less = |it: u64| Some(it.saturating_sub(n_bytes));
        self.done.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).ok();
    }

    /// Logs a line every few seconds, for ever.
    pub async fn report(&self, destination: &Path) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            tracing::info!(destination = %destination.display(), "{}", self.line(self.started.elapsed()));
        }
    }

    fn line(&self, elapsed: Duration) -> String {
        let done = self.done.load(Ordering::Relaxed);
        let of = match self.total {
            0 => String::new(),
            total => format!(" of {} MB, {} %", megabytes(total), done.saturating_mul(100) / total),
        };
        format!("{} MB{of}, {:.1} MB/s", megabytes(done), self.rate(elapsed))
    }

    /// Megabytes a second that were downloaded now.
    fn rate(&self, elapsed: Duration) -> f64 {
        let fresh = self.done.load(Ordering::Relaxed).saturating_sub(self.found.load(Ordering::Relaxed));
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let fresh = fresh as f64;
        fresh / 1e6 / elapsed.as_secs_f64().max(0.001)
    }
}

const fn megabytes(n_bytes: u64) -> u64 {
    n_bytes.div_ceil(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_is_no_speed() {
        let progress = Progress::new(10_000_000);
        progress.found(4_000_000);
        progress.add(2_000_000);
        let elapsed = Duration::from_secs(2);
        assert_eq!(progress.line(elapsed), "6 MB of 10 MB, 60 %, 1.0 MB/s");
        progress.add(4_000_000);
        assert_eq!(progress.summary_after(elapsed, 3), "3 files, 10 MB in 2.0 s (3.0 MB/s), 4 MB were there");
    }
}
