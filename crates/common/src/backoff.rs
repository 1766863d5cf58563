//! Exponential back-off with a cap. Jitter is the caller's choice of `spread`, so the rule stays pure.

use std::time::Duration;

/// Doubles from `first` up to `max`.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    attempt: u32,
}

impl Backoff {
    /// A back-off that starts at `first` and never passes `max`.
    #[must_use]
    pub const fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, attempt: 0 }
    }

    /// The delay before the next attempt; `spread` in 0..1 shortens it by up to half.
    pub fn next_delay(&mut self, spread: f64) -> Duration {
        let factor = 2u32.saturating_pow(self.attempt.min(30));
        self.attempt = self.attempt.saturating_add(1);
        let full = self.first.saturating_mul(factor).min(self.max);
        full.mul_f64(1.0 - 0.5 * spread.clamp(0.0, 1.0))
    }

    /// Starts over after a success.
    pub const fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_to_the_cap_and_starts_over() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(350));
        let delays: Vec<_> = (0..4).map(|_| backoff.next_delay(0.0).as_millis()).collect();
        assert_eq!(delays, [100, 200, 350, 350]);
        backoff.reset();
        assert_eq!(backoff.next_delay(1.0), Duration::from_millis(50));
    }
}
