//! The one shutdown sequence of every process.
//!
//! Signal → readiness off → wait for endpoint propagation → stop accepting → drain until a deadline →
//! cancel what is left. A second signal skips to the last step.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ready::Readiness;

/// For idle listeners and connections to notice the drain, whatever the deadline.
pub(crate) const SETTLE: Duration = Duration::from_millis(350);

/// How long the two waiting steps last.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// Between readiness off and the last accepted connection, so that load balancers notice.
    pub propagation: Duration,
    /// For requests in flight.
    pub drain: Duration,
}

/// SIGTERM and SIGINT, caught from now on: until then they end the process at once. Made before anything is served.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Installs the handlers. Needs a runtime.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn catch() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Shared by everything that must stop. Clones are handles to the same shutdown.
#[derive(Debug, Clone)]
pub struct Shutdown {
    /// Of `draining`: whoever drains leaves.
    leaving: CancellationToken,
    draining: CancellationToken,
    cancelled: CancellationToken,
    tasks: TaskTracker,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shutdown {
    /// A shutdown nobody has asked for yet.
    #[must_use]
    pub fn new() -> Self {
        let draining = CancellationToken::new();
        Self {
            leaving: draining.child_token(),
            draining,
            cancelled: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// Fires when clients should take their next request elsewhere: endpoints are still being propagated, and what
    /// comes is served.
    #[must_use]
    pub const fn leaving(&self) -> &CancellationToken {
        &self.leaving
    }

    /// Fires when new work must be refused.
    #[must_use]
    pub const fn draining(&self) -> &CancellationToken {
        &self.draining
    }

    /// Fires when work in flight must end at once.
    #[must_use]
    pub const fn cancelled(&self) -> &CancellationToken {
        &self.cancelled
    }

    /// Runs `task` so that the drain waits for it.
    pub fn spawn<F>(&self, task: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn(task)
    }

    /// Waits for a signal, then shuts down. Returns whether everything ended inside the deadline.
    pub async fn run(&self, mut signals: Signals, readiness: &Readiness, times: Times) -> bool {
        tokio::select! {
            () = signals.next() => {}
            () = self.draining.cancelled() => {}
        }
        tracing::info!(drain_seconds = times.drain.as_secs_f64(), "shutting down");
        let clean = tokio::select! {
            clean = self.finish(readiness, times) => clean,
            () = signals.next() => false,
        };
        self.cancelled.cancel();
        clean
    }

    /// The sequence without the signal, for owners that decide themselves.
    pub async fn finish(&self, readiness: &Readiness, times: Times) -> bool {
        readiness.condition("process", "shutting down").not_ready("shutting down");
        self.leaving.cancel();
        tokio::time::sleep(times.propagation).await;
        self.draining.cancel();
        self.tasks.close();
        let clean = tokio::time::timeout(times.drain.max(SETTLE), self.tasks.wait()).await.is_ok();
        self.cancelled.cancel();
        clean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: Times = Times { propagation: Duration::ZERO, drain: Duration::from_millis(50) };

    #[tokio::test]
    async fn waits_for_tasks_and_reports_a_clean_end() {
        let shutdown = Shutdown::new();
        let draining = shutdown.draining().clone();
        shutdown.spawn(async move { draining.cancelled().await });
        assert!(shutdown.finish(&Readiness::new(), TIMES).await);
    }

    #[tokio::test]
    async fn without_a_deadline_idle_tasks_still_end_cleanly() {
        let shutdown = Shutdown::new();
        let draining = shutdown.draining().clone();
        shutdown.spawn(async move { draining.cancelled().await });
        assert!(shutdown.finish(&Readiness::new(), Times { drain: Duration::ZERO, ..TIMES }).await);
    }

    #[tokio::test]
    async fn cancels_what_outlives_the_deadline() {
        let (shutdown, readiness) = (Shutdown::new(), Readiness::new());
        let cancelled = shutdown.cancelled().clone();
        let straggler = shutdown.spawn(async move { cancelled.cancelled().await });
        assert!(!shutdown.finish(&readiness, TIMES).await);
        straggler.await.unwrap();
        assert!(!readiness.is_ready());
    }
}
