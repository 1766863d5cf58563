//! Counters of KV transfer, under our own prefix beside vLLM's series.

use llmd_api::metric_names::{KV_TRANSFER_PREFIX, LABEL_ENGINE, LABEL_MODEL_NAME};
use llmd_common::metrics::register;
use prometheus::{Counter, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use super::PullError;

/// What this engine pulled from others and offers to them.
#[derive(Debug, Clone)]
pub struct TransferMetrics {
    /// Blocks that arrived.
    pub blocks: IntCounter,
    /// Bytes that arrived.
    pub bytes: IntCounter,
    /// Time from asking for blocks to having them, summed over pulls.
    pub seconds: Counter,
    /// Prompts offered to decode engines.
    pub offers: IntCounter,
    /// Blocks pinned by live offers.
    pub leased_blocks: IntGauge,
    failures: IntCounterVec,
}

impl TransferMetrics {
    /// Registers all series with value 0 for the data-parallel rank `rank` of `model_name`.
    #[must_use]
    pub fn new(registry: &Registry, model_name: &str, rank: u32) -> Self {
        let opts = |name: &str, help: &str| {
            Opts::new(format!("{KV_TRANSFER_PREFIX}_{name}"), help)
                .const_label(LABEL_MODEL_NAME, model_name)
                .const_label(LABEL_ENGINE, rank.to_string())
        };
        let counter = |name, help| register(registry, IntCounter::with_opts(opts(name, help)));
        let seconds = opts("seconds_total", "Seconds from asking for blocks to having them.");
        let failures = opts("failures_total", "Pulls that ended in recomputation, by reason.");
        let leased = opts("leased_blocks", "KV blocks pinned for decode engines.");
        let metrics = Self {
            blocks: counter("blocks_total", "KV blocks pulled from other engines."),
            bytes: counter("bytes_total", "Bytes of KV cache pulled from other engines."),
            seconds: register(registry, Counter::with_opts(seconds)),
            offers: counter("offers_total", "Prompts offered to decode engines."),
            leased_blocks: register(registry, IntGauge::with_opts(leased)),
            failures: register(registry, IntCounterVec::new(failures, &["reason"])),
        };
        for error in PullError::ALL {
            metrics.failure(error).inc_by(0);
        }
        metrics
    }

    /// The counter of pulls that failed this way.
    #[must_use]
    pub fn failure(&self, error: PullError) -> IntCounter {
        self.failures.with_label_values(&[error.reason()])
    }
}
