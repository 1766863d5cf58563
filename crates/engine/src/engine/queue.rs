//! The bound of the waiting queue, checked by the server before a request is sent to the engine thread.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::metrics::names::{REASON_QUEUED_REQUESTS, REASON_QUEUED_TOKENS};

/// How much may wait to be scheduled for the first time. When full, new requests are refused with 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// Sequences.
    pub max_requests: usize,
    /// Prompt tokens of all waiting sequences together.
    pub max_tokens: usize,
}

/// Which limit was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QueueFull {
    /// See [`QueueLimits::max_requests`].
    #[error("the queue is full: {limit} requests are waiting")]
    Requests {
        /// The limit.
        limit: usize,
    },
    /// See [`QueueLimits::max_tokens`].
    #[error("the queue is full: the prompts waiting would exceed {limit} tokens")]
    Tokens {
        /// The limit.
        limit: usize,
    },
}

impl QueueFull {
    /// Label of the rejection counter.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Requests { .. } => REASON_QUEUED_REQUESTS,
            Self::Tokens { .. } => REASON_QUEUED_TOKENS,
        }
    }
}

/// Places in the waiting queue. Taken by the server, given back by the engine thread when a sequence is
/// scheduled or gone.
#[derive(Debug)]
pub struct QueueGauge {
    limits: QueueLimits,
    n_requests: AtomicUsize,
    n_tokens: AtomicUsize,
}

impl QueueGauge {
    pub(super) const fn new(limits: QueueLimits) -> Self {
        Self { limits, n_requests: AtomicUsize::new(0), n_tokens: AtomicUsize::new(0) }
    }

    /// Takes places for `n_requests` sequences with `n_tokens` prompt tokens, all or none.
    pub(super) fn enter(&self, n_requests: usize, n_tokens: usize) -> Result<(), QueueFull> {
        let QueueLimits { max_requests, max_tokens } = self.limits;
        if !add_within(&self.n_requests, n_requests, max_requests) {
            return Err(QueueFull::Requests { limit: max_requests });
        }
        if !add_within(&self.n_tokens, n_tokens, max_tokens) {
            subtract(&self.n_requests, n_requests);
            return Err(QueueFull::Tokens { limit: max_tokens });
        }
        Ok(())
    }

    /// Gives places back. Sequences that came past the gate, straight over the command channel, took none: the
    /// count stops at zero.
    pub(super) fn leave(&self, n_requests: usize, n_tokens: usize) {
        subtract(&self.n_requests, n_requests);
        subtract(&self.n_tokens, n_tokens);
    }

    /// Sequences that wait now.
    #[must_use]
    pub fn n_requests(&self) -> usize {
        self.n_requests.load(Ordering::Acquire)
    }
}

fn add_within(counter: &AtomicUsize, n: usize, limit: usize) -> bool {
    let within = |now: usize| now.checked_add(n).filter(|sum| *sum <= limit);
    counter.fetch_update(Ordering::AcqRel, Ordering::Acquire, within).is_ok()
}

fn subtract(counter: &AtomicUsize, n: usize) {
    let less = |now: usize| Some(now.saturating_sub(n));
    let _previous = counter.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_all_places_or_none() {
        let queue = QueueGauge::new(QueueLimits { max_requests: 3, max_tokens: 100 });
        assert_eq!(queue.enter(2, 60), Ok(()));
        assert_eq!(queue.enter(2, 1), Err(QueueFull::Requests { limit: 3 }));
        assert_eq!(queue.enter(1, 41), Err(QueueFull::Tokens { limit: 100 }));
        assert_eq!(queue.n_requests(), 2);
        assert_eq!(queue.enter(1, 40), Ok(()));
        queue.leave(3, 100);
        assert_eq!(queue.enter(3, 100), Ok(()));
    }
}
