//! Series of one request.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{CounterVec, GaugeVec, HistogramVec};

use crate::director::usage::Usage;
use crate::metrics::{Family, Metrics, buckets};

/// Labels of every series about a request.
const LABELS: [&str; 4] = ["model_name", "target_model_name", "fairness_id", "priority"];

/// Values of [`LABELS`].
type LabelValues = [Arc<str>; LABELS.len()];

#[derive(Debug)]
pub(super) struct RequestFamilies {
    total: CounterVec,
    errors: CounterVec,
    duration: HistogramVec,
    size: HistogramVec,
    response_size: HistogramVec,
    input_tokens: HistogramVec,
    output_tokens: HistogramVec,
    cached_tokens: HistogramVec,
    running: GaugeVec,
    ttft: HistogramVec,
}

impl RequestFamilies {
    pub(super) fn new(family: &Family<'_>) -> Self {
        let with = |label| [&LABELS[..], &[label]].concat();
        let histogram = |name, buckets, help| family.histogram(name, &LABELS, buckets, help);
        Self {
            total: family.counter(
                "request_total",
                &LABELS,
                "Counter of inference objective requests broken out for each model and target model.",
            ),
            errors: family.counter(
                "request_error_total",
                &with("error_code"),
                "Counter of inference objective requests errors broken out for each model and target model.",
            ),
            duration: histogram(
                "request_duration_seconds",
                buckets::LATENCY,
                "Inference objective response latency distribution in seconds for each model and target model.",
            ),
            size: histogram(
                "request_size_bytes",
                buckets::REQUEST_BYTES,
                "Inference objective requests size distribution in bytes for each model and target model.",
            ),
            response_size: histogram(
                "response_size_bytes",
                buckets::RESPONSE_BYTES,
                "Inference objective responses size distribution in bytes for each model and target model.",
            ),
            input_tokens: histogram(
                "request_input_tokens",
                buckets::INPUT_TOKENS,
                "Inference objective input token count distribution for requests in each model.",
            ),
            output_tokens: histogram(
                "request_output_tokens",
                buckets::OUTPUT_TOKENS,
                "Inference objective output token count distribution for requests in each model.",
            ),
            cached_tokens: histogram(
                "request_cached_tokens",
                buckets::INPUT_TOKENS,
                "Inference objective prompt cached token count distribution for requests in each model.",
            ),
            running: family.gauge(
                "request_running",
                &LABELS,
                "Inference objective number of running requests in each model.",
            ),
            ttft: family.histogram(
                "request_ttft_seconds",
                &with("streaming"),
                buckets::LATENCY,
                "Time to first token in seconds, measured from request received to first response byte. For \
                 non-streaming requests, this equals total request duration.",
            ),
        }
    }
}

/// The series with the labels of one request.
#[derive(Debug, Clone)]
pub struct RequestMetrics {
    metrics: Arc<Metrics>,
    labels: LabelValues,
}

impl RequestMetrics {
    pub(super) const fn new(metrics: Arc<Metrics>, labels: LabelValues) -> Self {
        Self { metrics, labels }
    }

    fn families(&self) -> &RequestFamilies {
        &self.metrics.requests
    }

    /// Counts the request and the size of its body.
    #[expect(clippy::cast_precision_loss, reason = "bodies are far smaller than 2^52 bytes")]
    pub fn count(&self, n_bytes: usize) {
        self.families().total.with_label_values(&self.labels).inc();
        self.families().size.with_label_values(&self.labels).observe(n_bytes as f64);
    }

    /// Counts a failure by its code, such as `BadRequest`.
    pub fn count_error(&self, code: &str) {
        let [model, target, fairness, priority] = &self.labels;
        self.families().errors.with_label_values(&[&**model, target, fairness, priority, code]).inc();
    }

    /// The request was handed to an endpoint.
    pub fn start_running(&self) {
        self.families().running.with_label_values(&self.labels).inc();
    }

    /// The request ended in whatever way.
    pub fn stop_running(&self) {
        self.families().running.with_label_values(&self.labels).dec();
    }

    /// The first chunk of the response came.
    pub fn observe_first_chunk(&self, elapsed: Duration, streaming: bool) {
        let [model, target, fairness, priority] = &self.labels;
        let streaming = if streaming { "true" } else { "false" };
        self.families()
            .ttft
            .with_label_values(&[&**model, target, fairness, priority, streaming])
            .observe(elapsed.as_secs_f64());
    }

    /// The response is complete.
    #[expect(clippy::cast_precision_loss, reason = "bytes and tokens of a response are far below 2^52")]
    pub fn observe_end(&self, elapsed: Duration, n_bytes: u64, usage: Usage) {
        let families = self.families();
        families.duration.with_label_values(&self.labels).observe(elapsed.as_secs_f64());
        families.response_size.with_label_values(&self.labels).observe(n_bytes as f64);
        for (family, tokens) in [
            (&families.input_tokens, usage.prompt_tokens),
            (&families.output_tokens, usage.completion_tokens),
            (&families.cached_tokens, usage.cached_tokens),
        ] {
            if let Some(tokens) = tokens {
                family.with_label_values(&self.labels).observe(tokens as f64);
            }
        }
    }
}
