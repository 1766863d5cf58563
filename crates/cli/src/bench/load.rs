//! The load itself: tasks that ask, one request after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::openai::timing::Timing;
use crate::openai::{ChatRequest, Endpoint, Error, Message};

/// One kind of request to one endpoint.
#[derive(Debug, Clone)]
pub(super) struct Load {
    endpoint: Endpoint,
    request: ChatRequest,
    /// Numbers the prompts; shared by all rounds, so that no number comes twice.
    unique: Option<Arc<AtomicU64>>,
}

/// What was measured, in no order.
#[derive(Debug, Default)]
pub(super) struct Samples {
    pub(super) ttft: Vec<Duration>,
    pub(super) latency: Vec<Duration>,
    /// Tokens of all answers.
    pub(super) n_tokens: u64,
    pub(super) n_errors: u32,
    pub(super) last_error: Option<String>,
    /// Time under load.
    pub(super) elapsed: Duration,
}

impl Samples {
    pub(super) fn add(&mut self, more: Self) {
        let Self { ttft, latency, n_tokens, n_errors, last_error, elapsed } = more;
        self.ttft.extend(ttft);
        self.latency.extend(latency);
        self.n_tokens += n_tokens;
        self.n_errors += n_errors;
        self.last_error = last_error.or_else(|| self.last_error.take());
        self.elapsed += elapsed;
    }

    fn record(&mut self, answered: Result<Timing, Error>) {
        match answered {
            Err(error) => {
                self.n_errors += 1;
                self.last_error = Some(llmd_common::report::Report(&error).to_string());
            }
            Ok(timing) => {
                self.ttft.extend(timing.ttft());
                self.latency.extend(timing.latency());
                self.n_tokens += u64::from(timing.n_tokens());
            }
        }
    }
}

impl Load {
    pub(super) fn new(
        endpoint: Endpoint,
        model: String,
        prompt: String,
        unique: bool,
        max_tokens: u32,
    ) -> Self {
        let request = ChatRequest {
            model,
            messages: vec![Message { role: "user", content: prompt }],
            temperature: Some(0.0),
            max_tokens: Some(max_tokens),
        };
        // A start that differs between runs keeps an earlier run's prompts out of the caches' way.
        let start = u64::from(std::process::id()) << 20;
        Self { endpoint, request, unique: unique.then(|| Arc::new(AtomicU64::new(start))) }
    }

    /// Asks `n_requests` times, `concurrency` at once.
    pub(super) async fn run(&self, n_requests: u32, concurrency: u16) -> Samples {
        let start = Instant::now();
        let left = Arc::new(AtomicU64::new(u64::from(n_requests)));
        let mut tasks = JoinSet::new();
        for _ in 0..u32::from(concurrency).min(n_requests) {
            let (load, left) = (self.clone(), Arc::clone(&left));
            tasks.spawn(async move {
                let mut samples = Samples::default();
                while take_one(&left) {
                    samples.record(load.ask().await);
                }
                samples
            });
        }
        let mut all = Samples::default();
        for samples in tasks.join_all().await {
            all.add(samples);
        }
        all.elapsed = start.elapsed();
        all
    }

    async fn ask(&self) -> Result<Timing, Error> {
        let mut request = self.request.clone();
        if let Some(number) = &self.unique {
            let number = number.fetch_add(1, Ordering::Relaxed);
            // In front, because caches match from the beginning.
            request.messages[0].content.insert_str(0, &format!("{number:x} "));
        }
        let mut timing = Timing::start(Instant::now());
        let mut answer = self.endpoint.chat(&request).await?;
        while let Some(delta) = answer.next().await? {
            timing.arrived(&delta, Instant::now());
        }
        Ok(timing)
    }
}

fn take_one(left: &AtomicU64) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_taken_to_zero_and_no_further() {
        let left = AtomicU64::new(2);
        let taken: Vec<_> = (0..3).map(|_| take_one(&left)).collect();
        assert_eq!(taken, [true, true, false]);
    }

    #[tokio::test]
    async fn failures_are_counted_and_the_last_is_kept() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let endpoint = Endpoint::new(&format!("http://127.0.0.1:{port}"), None).unwrap();
        let load = Load::new(endpoint, "m".into(), "p".into(), true, 4);
        let samples = load.run(3, 2).await;
        assert_eq!((samples.n_errors, samples.ttft.len()), (3, 0));
        assert!(samples.last_error.unwrap().starts_with("no answer from http://127.0.0.1"));
    }
}
