//! Whether the engine thread lives and gets work done: what readiness is made of.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Written by the engine thread, read by health checks without waiting for it.
#[derive(Debug)]
pub struct EngineHealth {
    is_alive: AtomicBool,
    n_running: AtomicUsize,
    n_steps: AtomicU64,
    origin: Instant,
    /// Nanoseconds after `origin` at which a step ended or, after a pause, work began.
    last_progress: AtomicU64,
}

impl EngineHealth {
    pub(super) fn new() -> Self {
        Self {
            is_alive: AtomicBool::new(true),
            n_running: AtomicUsize::new(0),
            n_steps: AtomicU64::new(0),
            origin: Instant::now(),
            last_progress: AtomicU64::new(0),
        }
    }

    /// False once the thread ended, by a stop or a panic.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.is_alive.load(Ordering::Acquire)
    }

    /// Sequences in the batch.
    #[must_use]
    pub fn n_running(&self) -> usize {
        self.n_running.load(Ordering::Acquire)
    }

    /// Steps computed since the start.
    #[must_use]
    pub fn n_steps(&self) -> u64 {
        self.n_steps.load(Ordering::Acquire)
    }

    /// For how long sequences have been running without a step coming to its end; zero when none runs. A
    /// watchdog turns the engine unready when this exceeds what a step may take.
    #[must_use]
    pub fn stalled_for(&self, now: Instant) -> Duration {
        if self.n_running() == 0 {
            return Duration::ZERO;
        }
        let last = self.origin + Duration::from_nanos(self.last_progress.load(Ordering::Acquire));
        now.saturating_duration_since(last)
    }

    /// A step ended; `n_running` sequences are left in the batch.
    pub(super) fn step_ended(&self, now: Instant, n_running: usize) {
        self.note_progress(now);
        self.n_running.store(n_running, Ordering::Release);
        self.n_steps.fetch_add(1, Ordering::AcqRel);
    }

    /// `n_running` sequences are in the batch: a step with them begins, or a command ended some between steps.
    pub(super) fn note_running(&self, now: Instant, n_running: usize) {
        if self.n_running() == 0 {
            self.note_progress(now);
        }
        self.n_running.store(n_running, Ordering::Release);
    }

    fn note_progress(&self, now: Instant) {
        let nanos = now.saturating_duration_since(self.origin).as_nanos();
        self.last_progress.store(u64::try_from(nanos).unwrap_or(u64::MAX), Ordering::Release);
    }

    /// A guard that reports the thread's end when it is dropped.
    pub(super) fn alive(&self) -> Alive<'_> {
        Alive(self)
    }
}

pub(super) struct Alive<'a>(&'a EngineHealth);

impl Drop for Alive<'_> {
    fn drop(&mut self) {
        self.0.n_running.store(0, Ordering::Release);
        self.0.is_alive.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_running_engine_can_stall() {
        let health = EngineHealth::new();
        let start = Instant::now();
        let later = start + Duration::from_secs(60);
        assert_eq!(health.stalled_for(later), Duration::ZERO);
        health.note_running(later, 2);
        assert_eq!(health.stalled_for(later), Duration::ZERO, "the idle minute does not count");
        assert_eq!(health.stalled_for(later + Duration::from_secs(5)), Duration::from_secs(5));
        health.step_ended(later + Duration::from_secs(5), 0);
        assert_eq!(health.stalled_for(later + Duration::from_secs(9)), Duration::ZERO);
        assert_eq!(health.n_steps(), 1);
    }

    #[test]
    fn the_end_of_the_thread_shows() {
        let health = EngineHealth::new();
        assert!(health.is_alive());
        drop(health.alive());
        assert!(!health.is_alive());
    }
}
