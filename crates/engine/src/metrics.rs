//! The engine's Prometheus series, under vLLM's names.
//!
//! Every series exists from the start with value 0: an absent one breaks endpoint scoring and autoscaling.
//! Values are atomics, so a scrape never waits for the engine thread. KV transfer and the HTTP surface keep
//! their own series.

mod buckets;
pub mod names;

use std::collections::HashMap;
use std::time::Duration;

use llmd_api::metric_names::{
    CACHE_CONFIG_INFO, KV_CACHE_USAGE_PERC, LABEL_ENGINE, LABEL_MODEL_NAME, NUM_REQUESTS_RUNNING,
    NUM_REQUESTS_WAITING, PROMPT_TOKENS_BY_SOURCE,
};
use llmd_common::metrics::register;
use prometheus::{
    Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use crate::output::FinishReason;

/// What the series are labelled with and sized by.
#[derive(Debug, Clone)]
pub struct MetricsInfo {
    /// First served model name.
    pub model_name: String,
    /// Data-parallel rank; the ranks of a process may share a registry.
    pub rank: u32,
    /// Upper end of the histograms of tokens.
    pub max_model_len: usize,
    /// Tokens a KV block.
    pub block_size: usize,
    /// KV blocks, the null block included.
    pub n_blocks: usize,
}

/// Handles to all series; clones write to the same ones.
#[derive(Debug, Clone)]
pub struct EngineMetrics {
    pub(crate) running: IntGauge,
    pub(crate) waiting: IntGauge,
    pub(crate) waiting_for_capacity: IntGauge,
    pub(crate) waiting_for_remote: IntGauge,
    pub(crate) kv_cache_usage: Gauge,
    pub(crate) prefix_cache_queries: IntCounter,
    pub(crate) prefix_cache_hits: IntCounter,
    pub(crate) external_cache_queries: IntCounter,
    pub(crate) external_cache_hits: IntCounter,
    pub(crate) preemptions: IntCounter,
    pub(crate) prompt_tokens: IntCounter,
    pub(crate) generation_tokens: IntCounter,
    pub(crate) prompt_tokens_cached: IntCounter,
    pub(crate) prompt_tokens_computed: IntCounter,
    pub(crate) prompt_tokens_cache_hit: IntCounter,
    pub(crate) prompt_tokens_transferred: IntCounter,
    pub(crate) iteration_tokens: Histogram,
    pub(crate) request_prompt_tokens: Histogram,
    pub(crate) request_generation_tokens: Histogram,
    pub(crate) request_max_tokens: Histogram,
    pub(crate) request_computed_tokens: Histogram,
    pub(crate) request_preemptions: Histogram,
    pub(crate) ttft: Histogram,
    pub(crate) request_time_per_token: Histogram,
    pub(crate) e2e: Histogram,
    pub(crate) queue_time: Histogram,
    pub(crate) inference_time: Histogram,
    pub(crate) prefill_time: Histogram,
    pub(crate) decode_time: Histogram,
    /// Number of choices a client request asked for; observed by the server, which splits it into sequences.
    pub request_params_n: Histogram,
    itl: Histogram,
    itl_old_name: Histogram,
    success: IntCounterVec,
    rejections: IntCounterVec,
}

impl EngineMetrics {
    /// Registers all series.
    #[must_use]
    pub fn new(registry: &Registry, info: &MetricsInfo) -> Self {
        let MetricsInfo { model_name, rank, max_model_len, block_size, n_blocks } = info;
        let series = Series::new(registry, model_name, *rank);
        let tokens = buckets::one_two_five(*max_model_len);

        let waiting_by_reason =
            series.gauges(names::NUM_REQUESTS_WAITING_BY_REASON, "Waiting requests by reason.", "reason");
        let by_source =
            series.counters(PROMPT_TOKENS_BY_SOURCE, "Prompt tokens by where their KV came from.", "source");
        let success =
            series.counters(names::REQUEST_SUCCESS, "Finished requests by reason.", "finished_reason");
        for reason in [FinishReason::Stop, FinishReason::Length, FinishReason::Abort, FinishReason::Error] {
            success.with_label_values(&[reason.as_str()]);
        }
        let rejections = series.counters(
            names::ADMISSION_REJECTIONS,
            "Requests refused because a queue is full.",
            "reason",
        );
        for reason in names::REJECTION_REASONS {
            rejections.with_label_values(&[reason]);
        }
        series.cache_config_info(*block_size, *n_blocks);

        Self {
            running: series.gauge(NUM_REQUESTS_RUNNING, "Requests in the running batch."),
            waiting: series.gauge(NUM_REQUESTS_WAITING, "Requests waiting to be scheduled."),
            waiting_for_capacity: waiting_by_reason.with_label_values(&["capacity"]),
            waiting_for_remote: waiting_by_reason.with_label_values(&["deferred"]),
            kv_cache_usage: series.usage(KV_CACHE_USAGE_PERC, "Share of KV-cache blocks in use, 0 to 1."),
            prefix_cache_queries: series
                .counter(names::PREFIX_CACHE_QUERIES, "Tokens looked up in the prefix cache."),
            prefix_cache_hits: series.counter(names::PREFIX_CACHE_HITS, "Tokens found in the prefix cache."),
            external_cache_queries: series
                .counter(names::EXTERNAL_PREFIX_CACHE_QUERIES, "Tokens asked for from other engines."),
            external_cache_hits: series
                .counter(names::EXTERNAL_PREFIX_CACHE_HITS, "Tokens received from other engines."),
            preemptions: series.counter(names::NUM_PREEMPTIONS, "Preemptions."),
            prompt_tokens: series.counter(names::PROMPT_TOKENS, "Prompt tokens processed."),
            generation_tokens: series.counter(names::GENERATION_TOKENS, "Tokens generated."),
            prompt_tokens_cached: series
                .counter(names::PROMPT_TOKENS_CACHED, "Prompt tokens that were not computed."),
            prompt_tokens_computed: by_source.with_label_values(&["local_compute"]),
            prompt_tokens_cache_hit: by_source.with_label_values(&["local_cache_hit"]),
            prompt_tokens_transferred: by_source.with_label_values(&["external_kv_transfer"]),
            iteration_tokens: series.histogram(
                names::ITERATION_TOKENS,
                "Tokens a step.",
                buckets::ITERATION_TOKENS.to_vec(),
            ),
            request_prompt_tokens: series.histogram(
                names::REQUEST_PROMPT_TOKENS,
                "Prompt tokens a request.",
                tokens.clone(),
            ),
            request_generation_tokens: series.histogram(
                names::REQUEST_GENERATION_TOKENS,
                "Tokens generated a request.",
                tokens.clone(),
            ),
            request_max_tokens: series.histogram(
                names::REQUEST_PARAMS_MAX_TOKENS,
                "The max_tokens parameter.",
                tokens.clone(),
            ),
            request_computed_tokens: series.histogram(
                names::REQUEST_PREFILL_KV_COMPUTED_TOKENS,
                "Prompt tokens computed here, caches and transfers left out.",
                tokens,
            ),
            request_preemptions: series.histogram(
                names::REQUEST_NUM_PREEMPTIONS,
                "Preemptions a request.",
                buckets::PREEMPTIONS.to_vec(),
            ),
            ttft: series.seconds(names::TIME_TO_FIRST_TOKEN, "Time to first token.", buckets::TTFT),
            itl: series.seconds(names::INTER_TOKEN_LATENCY, "Time between two tokens.", buckets::ITL),
            itl_old_name: series.seconds(
                names::TIME_PER_OUTPUT_TOKEN,
                "Old name of the inter-token latency.",
                buckets::ITL,
            ),
            request_time_per_token: series.seconds(
                names::REQUEST_TIME_PER_OUTPUT_TOKEN,
                "Mean time between the tokens of a request.",
                buckets::ITL,
            ),
            e2e: series.seconds(
                names::E2E_REQUEST_LATENCY,
                "From arrival to the last token.",
                buckets::LATENCY,
            ),
            queue_time: series.seconds(
                names::REQUEST_QUEUE_TIME,
                "From arrival to the batch.",
                buckets::LATENCY,
            ),
            inference_time: series.seconds(
                names::REQUEST_INFERENCE_TIME,
                "From the batch to the last token.",
                buckets::LATENCY,
            ),
            prefill_time: series.seconds(
                names::REQUEST_PREFILL_TIME,
                "From the batch to the first token.",
                buckets::LATENCY,
            ),
            decode_time: series.seconds(
                names::REQUEST_DECODE_TIME,
                "From the first to the last token.",
                buckets::LATENCY,
            ),
            request_params_n: series.histogram(
                names::REQUEST_PARAMS_N,
                "The n parameter.",
                buckets::PARAMS_N.to_vec(),
            ),
            success,
            rejections,
        }
    }

    /// Counts a request that ended.
    pub(crate) fn finished(&self, reason: FinishReason) {
        self.success.with_label_values(&[reason.as_str()]).inc();
    }

    /// Counts a request refused for one of [`names::REJECTION_REASONS`].
    pub(crate) fn rejected(&self, reason: &str) {
        self.rejections.with_label_values(&[reason]).inc();
    }

    /// Observes the time between two tokens, under both names.
    pub(crate) fn between_tokens(&self, elapsed: Duration) {
        self.itl.observe(elapsed.as_secs_f64());
        self.itl_old_name.observe(elapsed.as_secs_f64());
    }
}

/// Makes series that carry the engine's labels.
struct Series<'a> {
    registry: &'a Registry,
    labels: HashMap<String, String>,
}

impl<'a> Series<'a> {
    fn new(registry: &'a Registry, model_name: &str, rank: u32) -> Self {
        let labels = [(LABEL_MODEL_NAME, model_name.to_owned()), (LABEL_ENGINE, rank.to_string())];
        Self { registry, labels: labels.map(|(name, value)| (name.to_owned(), value)).into() }
    }

    fn opts(&self, name: &str, help: &str) -> Opts {
        Opts::new(name, help).const_labels(self.labels.clone())
    }

    fn counter(&self, name: &str, help: &str) -> IntCounter {
        register(self.registry, IntCounter::with_opts(self.opts(name, help)))
    }

    fn counters(&self, name: &str, help: &str, label: &str) -> IntCounterVec {
        register(self.registry, IntCounterVec::new(self.opts(name, help), &[label]))
    }

    fn gauge(&self, name: &str, help: &str) -> IntGauge {
        register(self.registry, IntGauge::with_opts(self.opts(name, help)))
    }

    fn gauges(&self, name: &str, help: &str, label: &str) -> IntGaugeVec {
        register(self.registry, IntGaugeVec::new(self.opts(name, help), &[label]))
    }

    fn usage(&self, name: &str, help: &str) -> Gauge {
        register(self.registry, Gauge::with_opts(self.opts(name, help)))
    }

    fn histogram(&self, name: &str, help: &str, buckets: Vec<f64>) -> Histogram {
        let opts = HistogramOpts { common_opts: self.opts(name, help), buckets };
        register(self.registry, Histogram::with_opts(opts))
    }

    fn seconds(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        self.histogram(name, &format!("{help} In seconds."), buckets.to_vec())
    }

    fn cache_config_info(&self, block_size: usize, n_blocks: usize) {
        let opts = self
            .opts(CACHE_CONFIG_INFO, "Geometry of the KV cache as labels.")
            .const_label("block_size", block_size.to_string())
            .const_label("num_gpu_blocks", n_blocks.to_string());
        register(self.registry, IntGauge::with_opts(opts)).set(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> String {
        let registry = Registry::new();
        let info = MetricsInfo {
            model_name: "m".to_owned(),
            rank: 0,
            max_model_len: 64,
            block_size: 16,
            n_blocks: 9,
        };
        let _metrics = EngineMetrics::new(&registry, &info);
        llmd_common::metrics::render(&registry)
    }

    #[test]
    fn every_series_is_there_from_the_start() {
        let text = text();
        for line in [
            r#"vllm:num_requests_running{engine="0",model_name="m"} 0"#,
            r#"vllm:num_requests_waiting{engine="0",model_name="m"} 0"#,
            r#"vllm:num_requests_waiting_by_reason{engine="0",model_name="m",reason="deferred"} 0"#,
            r#"vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0"#,
            r#"vllm:cache_config_info{block_size="16",engine="0",model_name="m",num_gpu_blocks="9"} 1"#,
            r#"vllm:request_success_total{engine="0",finished_reason="abort",model_name="m"} 0"#,
            r#"vllm:prompt_tokens_by_source_total{engine="0",model_name="m",source="external_kv_transfer"} 0"#,
            r#"vllm:admission_rejections_total{engine="0",model_name="m",reason="max_num_queued_reqs"} 0"#,
            r#"vllm:time_to_first_token_seconds_count{engine="0",model_name="m"} 0"#,
            r#"vllm:time_per_output_token_seconds_count{engine="0",model_name="m"} 0"#,
            r#"vllm:iteration_tokens_total_count{engine="0",model_name="m"} 0"#,
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn token_buckets_end_at_the_context_length() {
        let text = text();
        assert!(text.contains(r#"vllm:request_prompt_tokens_bucket{engine="0",model_name="m",le="50"} 0"#));
        assert!(!text.contains(r#"vllm:request_prompt_tokens_bucket{engine="0",model_name="m",le="100"}"#));
    }
}
