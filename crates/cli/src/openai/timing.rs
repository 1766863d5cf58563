//! When the parts of one answer arrived.

use std::time::{Duration, Instant};

use super::{Delta, TokenCounts};

/// The clock of one request. Times come in, so that it can be tested.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    sent: Instant,
    first: Option<Instant>,
    last: Option<Instant>,
    n_deltas: u32,
    usage: Option<TokenCounts>,
}

impl Timing {
    /// A request that is sent `now`.
    #[must_use]
    pub const fn start(now: Instant) -> Self {
        Self { sent: now, first: None, last: None, n_deltas: 0, usage: None }
    }

    /// Part of the answer came in.
    pub fn arrived(&mut self, delta: &Delta, now: Instant) {
        self.usage = delta.usage.or(self.usage);
        if !delta.text.is_empty() {
            self.first.get_or_insert(now);
            self.last = Some(now);
            self.n_deltas += 1;
        }
    }

    /// Time to first token: from sending to the first text.
    #[must_use]
    pub fn ttft(&self) -> Option<Duration> {
        self.first.map(|first| first.duration_since(self.sent))
    }

    /// From sending to the last text.
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        self.last.map(|last| last.duration_since(self.sent))
    }

    /// Tokens of the answer: as the server counts them, else one for each part.
    #[must_use]
    pub fn n_tokens(&self) -> u32 {
        self.usage.map_or(self.n_deltas, |it| it.completion_tokens)
    }

    /// Prompt tokens that were not computed, when the server tells.
    #[must_use]
    pub fn n_cached(&self) -> Option<u32> {
        self.usage?.prompt_tokens_details?.cached_tokens
    }

    /// Speed after the first token.
    #[must_use]
    pub fn tokens_per_second(&self) -> Option<f64> {
        let seconds = self.last?.duration_since(self.first?).as_secs_f64();
        let n_after_first = self.n_tokens().checked_sub(1).filter(|&n| n > 0)?;
        (seconds > 0.0).then(|| f64::from(n_after_first) / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_from_sending_and_counts_what_the_server_counts() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let text = |text: &str| Delta { text: text.to_owned(), usage: None };
        let mut timing = Timing::start(start);
        timing.arrived(&text(""), at(10));
        assert_eq!((timing.ttft(), timing.tokens_per_second()), (None, None));
        timing.arrived(&text("a"), at(100));
        timing.arrived(&text("bc"), at(300));
        assert_eq!(timing.n_tokens(), 2);
        let counts = TokenCounts { completion_tokens: 5, ..TokenCounts::default() };
        timing.arrived(&Delta { text: String::new(), usage: Some(counts) }, at(310));
        assert_eq!(timing.ttft(), Some(Duration::from_millis(100)));
        assert_eq!(timing.latency(), Some(Duration::from_millis(300)));
        assert_eq!((timing.n_tokens(), timing.tokens_per_second()), (5, Some(20.0)));
    }
}
