//! The picker's own Prometheus series, named as the llm-d router names them.
//!
//! Names, labels, buckets and help texts are a contract with dashboards. Only series of parts that exist here are
//! registered. Labels that come from clients (model names, fairness ids) are bounded.

use std::sync::Arc;

use llmd_common::build_info;
use llmd_common::metrics::register;
use prometheus::{Counter, CounterVec, GaugeVec, Histogram, HistogramOpts, HistogramVec, Opts, Registry};

use crate::datastore::Endpoint;
use crate::request::PrefixMatches;

mod buckets;
pub mod deprecated;
mod labels;
mod pool;
mod request;

use labels::{BoundedLabel, Combinations};
use pool::PoolFamilies;
use request::RequestFamilies;
pub use request::RequestMetrics;

const MAX_MODEL_NAMES: usize = 1000;
const MAX_FAIRNESS_IDS: usize = 1000;
/// Of models, target models and fairness ids in the series of requests: some kilobytes each.
const MAX_COMBINATIONS: usize = 2000;

/// Every series of the picker.
#[derive(Debug)]
pub struct Metrics {
    model_names: BoundedLabel,
    fairness_ids: BoundedLabel,
    combinations: Combinations,
    requests: RequestFamilies,
    pool: PoolFamilies,
    scheduler_duration: Histogram,
    scheduler_attempts: CounterVec,
    plugin_duration: HistogramVec,
    disagg_decisions: CounterVec,
    rewrites: CounterVec,
    prefix_size: GaugeVec,
    prefix_hit_ratio: HistogramVec,
    prefix_hit_bytes: HistogramVec,
    poll_errors: CounterVec,
    extract_errors: CounterVec,
}

/// Declares and registers one family.
struct Family<'r>(&'r Registry);

impl Family<'_> {
    fn opts(name: &str, help: &str) -> Opts {
        Opts::new(format!("llm_d_epp_{name}"), format!("[ALPHA] {help}"))
    }

    fn counter(&self, name: &str, labels: &[&str], help: &str) -> CounterVec {
        register(self.0, CounterVec::new(Self::opts(name, help), labels))
    }

    fn gauge(&self, name: &str, labels: &[&str], help: &str) -> GaugeVec {
        register(self.0, GaugeVec::new(Self::opts(name, help), labels))
    }

    fn histogram(&self, name: &str, labels: &[&str], buckets: &[f64], help: &str) -> HistogramVec {
        let opts = HistogramOpts { common_opts: Self::opts(name, help), buckets: buckets.to_vec() };
        register(self.0, HistogramVec::new(opts, labels))
    }
}

impl Metrics {
    /// Registers every series. `pool_name` labels those about the whole pool.
    #[must_use]
    pub fn new(registry: &Registry, pool_name: &str) -> Arc<Self> {
        let family = Family(registry);
        let plugin = &["plugin_name", "plugin_type"][..];
        let scheduler_duration = family.histogram(
            "scheduler_e2e_duration_seconds",
            &[],
            buckets::SCHEDULING,
            "End-to-end scheduling latency distribution in seconds.",
        );
        let info = family.gauge(
            "info",
            &["commit", "build_ref"],
            "General information of the current build of Inference Extension.",
        );
        info.with_label_values(&["", build_info::VERSION]).set(1.0);
        Arc::new(Self {
            model_names: BoundedLabel::new(MAX_MODEL_NAMES),
            fairness_ids: BoundedLabel::new(MAX_FAIRNESS_IDS),
            combinations: Combinations::new(MAX_COMBINATIONS),
            requests: RequestFamilies::new(&family),
            pool: PoolFamilies::new(&family, pool_name),
            scheduler_duration: scheduler_duration.with_label_values(&[] as &[&str]),
            scheduler_attempts: family.counter(
                "scheduler_attempts_total",
                &["status", "target_model_name", "endpoint_name", "namespace", "port"],
                "Total number of scheduling attempts.",
            ),
            plugin_duration: family.histogram(
                "plugin_duration_seconds",
                &["extension_point", "plugin_type", "plugin_name"],
                buckets::SCHEDULING,
                "Plugin processing latency distribution in seconds for each extension point, plugin type and \
                 plugin name.",
            ),
            disagg_decisions: family.counter(
                "disagg_decision_total",
                &["plugin_name", "plugin_type", "model_name", "decision_type"],
                "Total number of disaggregation routing decisions made",
            ),
            rewrites: family.counter(
                "model_rewrite_decisions_total",
                &["model_rewrite_name", "model_name", "target_model"],
                "Total number of inference model rewrite decisions.",
            ),
            prefix_size: family.gauge("prefix_indexer_size", plugin, "Size of the prefix indexer."),
            prefix_hit_ratio: family.histogram(
                "prefix_indexer_hit_ratio",
                plugin,
                buckets::RATIO,
                "Ratio of prefix length matched to total prefix length in the cache lookup.",
            ),
            prefix_hit_bytes: family.histogram(
                "prefix_indexer_hit_bytes",
                plugin,
                buckets::HIT_BYTES,
                "Length of the prefix match in number of bytes in the cache lookup.",
            ),
            poll_errors: family.counter(
                "datalayer_poll_errors_total",
                &["source_type"],
                "Data-source poll errors per source type.",
            ),
            extract_errors: family.counter(
                "datalayer_extract_errors_total",
                &["source_type", "extractor_type"],
                "Extract errors per source/extractor type.",
            ),
        })
    }

    /// Metrics that nobody reads.
    #[cfg(test)]
    pub(crate) fn unregistered() -> Arc<Self> {
        Self::new(&Registry::new(), "")
    }

    /// Series of a request from `model` to `target_model`, both bounded.
    #[must_use]
    pub fn request(
        self: &Arc<Self>,
        model: &str,
        target_model: &str,
        fairness_id: &str,
        priority: i32,
    ) -> RequestMetrics {
        let labels = self.combinations.bound([
            self.model_names.bound(model),
            self.model_names.bound(target_model),
            self.fairness_ids.bound(fairness_id),
            priority.to_string().into(),
        ]);
        RequestMetrics::new(Arc::clone(self), labels)
    }

    /// Counts a request whose model the rewrite called `rewrite` replaced.
    pub fn count_rewrite(&self, rewrite: &str, model: &str, target_model: &str) {
        let (model, target_model) = (self.model_names.bound(model), self.model_names.bound(target_model));
        self.rewrites.with_label_values(&[rewrite, &model, &target_model]).inc();
    }

    /// Duration of one plugin at one place of the cycle.
    #[must_use]
    pub fn plugin_duration(&self, point: &str, plugin_type: &str, plugin_name: &str) -> Histogram {
        self.plugin_duration.with_label_values(&[point, plugin_type, plugin_name])
    }

    /// Duration of whole cycles.
    #[must_use]
    pub const fn scheduler_duration(&self) -> &Histogram {
        &self.scheduler_duration
    }

    /// Counts a cycle by its outcome: the endpoint it chose, or none.
    pub fn count_scheduling(&self, target_model: &str, chosen: Option<&Endpoint>) {
        let model = self.model_names.bound(target_model);
        match chosen {
            Some(endpoint) => {
                let port = endpoint.spec.address.port().to_string();
                let labels = ["success", &*model, &endpoint.spec.name, &endpoint.spec.namespace, &port];
                self.scheduler_attempts.with_label_values(&labels).inc();
            }
            None => self.scheduler_attempts.with_label_values(&["failure", &*model, "", "", ""]).inc(),
        }
    }

    /// Counts `decode-only` or `prefill-decode`.
    pub fn count_disagg_decision(&self, plugin_type: &str, plugin_name: &str, model: &str, decision: &str) {
        let model = self.model_names.bound(model);
        self.disagg_decisions.with_label_values(&[plugin_name, plugin_type, &*model, decision]).inc();
    }

    /// Series of one prefix producer.
    #[must_use]
    pub fn prefix(&self, plugin_type: &str, plugin_name: &str) -> PrefixMetrics {
        let labels = [plugin_name, plugin_type];
        PrefixMetrics {
            size: self.prefix_size.with_label_values(&labels),
            hit_ratio: self.prefix_hit_ratio.with_label_values(&labels),
            hit_bytes: self.prefix_hit_bytes.with_label_values(&labels),
        }
    }

    /// Scrapes that brought no metrics.
    #[must_use]
    pub fn poll_errors(&self, source_type: &str) -> Counter {
        self.poll_errors.with_label_values(&[source_type])
    }

    /// Scrapes whose text lacked a wanted series.
    #[must_use]
    pub fn extract_errors(&self, source_type: &str, extractor_type: &str) -> Counter {
        self.extract_errors.with_label_values(&[source_type, extractor_type])
    }

    /// Sets the gauges about the whole pool.
    pub fn set_pool(&self, endpoints: &[Arc<Endpoint>]) {
        self.pool.set(endpoints);
    }
}

/// Series of one prefix producer.
#[derive(Debug)]
pub struct PrefixMetrics {
    size: prometheus::Gauge,
    hit_ratio: Histogram,
    hit_bytes: Histogram,
}

impl PrefixMetrics {
    /// Records how much of a prompt the chosen endpoint held.
    pub fn observe_hit(&self, cached_blocks: u32, matches: &PrefixMatches) {
        let bytes_per_block = f64::from(matches.block_size) * crate::request::prompt::BYTES_PER_TOKEN as f64;
        self.hit_ratio.observe(f64::from(cached_blocks) / f64::from(matches.total_blocks.max(1)));
        self.hit_bytes.observe(f64::from(cached_blocks) * bytes_per_block);
    }

    /// Sets the number of blocks in the index.
    #[expect(clippy::cast_precision_loss, reason = "blocks are far fewer than 2^52")]
    pub fn set_size(&self, n_blocks: usize) {
        self.size.set(n_blocks as f64);
    }
}

#[cfg(test)]
mod tests;
