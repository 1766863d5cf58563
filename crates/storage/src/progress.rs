//! How far the download is, for the log.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Time between two lines of the log.
const INTERVAL: Duration = Duration::from_secs(5);

/// Counts bytes of all files.
#[derive(Debug)]
pub struct Progress {
    done: AtomicU64,
    /// Sum of the sizes that are known.
    total: u64,
    started: Instant,
}

impl Progress {
    /// Nothing of `total` bytes is there.
    #[must_use]
    pub fn new(total: u64) -> Self {
        Self { done: AtomicU64::new(0), total, started: Instant::now() }
    }

    /// Bytes that are there.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, n_bytes: u64) {
        self.done.fetch_add(n_bytes, Ordering::Relaxed);
    }

    pub(crate) fn take_back(&self, n_bytes: u64) {
        let less = |it: u64| Some(it.saturating_sub(n_bytes));
        self.done.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).ok();
    }

    /// Logs a line every few seconds, for ever.
    pub async fn report(&self, destination: &std::path::Path) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            let done = self.done();
            let seconds = self.started.elapsed().as_secs_f64().max(0.001);
            #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
            let rate = done as f64 / seconds / 1e6;
            tracing::info!(
                destination = %destination.display(),
                "{} of {} MB, {rate:.1} MB/s",
                done / 1_000_000,
                self.total / 1_000_000
            );
        }
    }
}
