//! Series of one request.

use std::sync::Arc;
use std::time::Duration;

use crate::director::usage::Usage;
use crate::metrics::{Metrics, REQUEST_LABELS};

/// The series with the labels of one request.
#[derive(Debug, Clone)]
pub struct RequestMetrics {
    metrics: Arc<Metrics>,
    labels: [Arc<str>; REQUEST_LABELS.len()],
}

impl RequestMetrics {
    pub(super) const fn new(metrics: Arc<Metrics>, labels: [Arc<str>; REQUEST_LABELS.len()]) -> Self {
        Self { metrics, labels }
    }

    /// Counts the request and the size of its body.
    #[expect(clippy::cast_precision_loss, reason = "bodies are far smaller than 2^52 bytes")]
    pub fn count(&self, n_bytes: usize) {
        self.metrics.requests.with_label_values(&self.labels).inc();
        self.metrics.request_size.with_label_values(&self.labels).observe(n_bytes as f64);
    }

    /// Counts a failure by its code, such as `BadRequest`.
    pub fn count_error(&self, code: &str) {
        let [model, target, fairness, priority] = &self.labels;
        self.metrics.request_errors.with_label_values(&[&**model, target, fairness, priority, code]).inc();
    }

    /// The request was handed to an endpoint.
    pub fn start_running(&self) {
        self.metrics.running.with_label_values(&self.labels).inc();
    }

    /// The request ended in whatever way.
    pub fn stop_running(&self) {
        self.metrics.running.with_label_values(&self.labels).dec();
    }

    /// The first chunk of the response came.
    pub fn observe_first_chunk(&self, elapsed: Duration, streaming: bool) {
        let [model, target, fairness, priority] = &self.labels;
        let streaming = if streaming { "true" } else { "false" };
        self.metrics
            .ttft
            .with_label_values(&[&**model, target, fairness, priority, streaming])
            .observe(elapsed.as_secs_f64());
    }

    /// The response is complete.
    #[expect(clippy::cast_precision_loss, reason = "bytes and tokens of a response are far below 2^52")]
    pub fn observe_end(&self, elapsed: Duration, n_bytes: u64, usage: Usage) {
        let metrics = &self.metrics;
        metrics.request_duration.with_label_values(&self.labels).observe(elapsed.as_secs_f64());
        metrics.response_size.with_label_values(&self.labels).observe(n_bytes as f64);
        for (family, tokens) in [
            (&metrics.input_tokens, usage.prompt_tokens),
            (&metrics.output_tokens, usage.completion_tokens),
            (&metrics.cached_tokens, usage.cached_tokens),
        ] {
            if let Some(tokens) = tokens {
                family.with_label_values(&self.labels).observe(tokens as f64);
            }
        }
    }
}
