//! Series under the names of earlier releases of the llm-d router and the inference extension, for dashboards that
//! still use them.
//!
//! They are made from the current series when somebody reads the page, so that requests are counted once. A label that
//! the earlier series does not have is summed over.

use std::collections::BTreeMap;

use prometheus::Registry;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

/// Earlier and current name of a label.
type Label = (&'static str, &'static str);

const fn same(name: &'static str) -> Label {
    (name, name)
}

const MODEL: Label = same("model_name");
const TARGET: Label = same("target_model_name");
const PLUGIN: &[Label] = &[same("plugin_name"), same("plugin_type")];
const POOL: &[Label] = &[same("name")];

/// Current name without its prefix, earlier name, and the earlier labels in alphabetical order.
const TWINS: &[(&str, &str, &[Label])] = &[
    ("average_kv_cache_utilization", "inference_pool_average_kv_cache_utilization", POOL),
    ("average_queue_size", "inference_pool_average_queue_size", POOL),
    ("average_running_requests", "inference_pool_average_running_requests", POOL),
    (
        "datalayer_extract_errors_total",
        "llm_d_inference_scheduler_datalayer_extract_errors_total",
        &[same("extractor_type"), same("source_type")],
    ),
    (
        "datalayer_poll_errors_total",
        "llm_d_inference_scheduler_datalayer_poll_errors_total",
        &[same("source_type")],
    ),
    (
        "disagg_decision_total",
        "llm_d_inference_scheduler_disagg_decision_total",
        &[same("decision_type"), MODEL, same("plugin_name"), same("plugin_type")],
    ),
    ("info", "inference_extension_info", &[same("build_ref"), same("commit")]),
    (
        "model_rewrite_decisions_total",
        "inference_extension_model_rewrite_decisions_total",
        &[MODEL, same("model_rewrite_name"), same("target_model")],
    ),
    (
        "per_endpoint_queue_size",
        "inference_pool_per_pod_queue_size",
        &[("model_server_pod", "model_server_endpoint"), same("name")],
    ),
    (
        "plugin_duration_seconds",
        "inference_extension_plugin_duration_seconds",
        &[same("extension_point"), same("plugin_name"), same("plugin_type")],
    ),
    ("prefix_indexer_hit_bytes", "inference_extension_prefix_indexer_hit_bytes", PLUGIN),
    ("prefix_indexer_hit_ratio", "inference_extension_prefix_indexer_hit_ratio", PLUGIN),
    ("prefix_indexer_size", "inference_extension_prefix_indexer_size", PLUGIN),
    ("ready_endpoints", "inference_pool_ready_pods", POOL),
    ("request_cached_tokens", "inference_objective_prompt_cached_tokens", &[MODEL, TARGET]),
    ("request_duration_seconds", "inference_objective_request_duration_seconds", &[MODEL, TARGET]),
    (
        "request_error_total",
        "inference_objective_request_error_total",
        &[same("error_code"), MODEL, same("priority"), TARGET],
    ),
    ("request_input_tokens", "inference_objective_input_tokens", &[MODEL, TARGET]),
    ("request_output_tokens", "inference_objective_output_tokens", &[MODEL, TARGET]),
    ("request_running", "inference_objective_running_requests", &[MODEL]),
    ("request_size_bytes", "inference_objective_request_sizes", &[MODEL, TARGET]),
    ("request_total", "inference_objective_request_total", &[MODEL, same("priority"), TARGET]),
    ("response_size_bytes", "inference_objective_response_sizes", &[MODEL, TARGET]),
    (
        "scheduler_attempts_total",
        "inference_extension_scheduler_attempts_total",
        &[same("namespace"), ("pod_name", "endpoint_name"), same("port"), same("status"), TARGET],
    ),
    ("scheduler_e2e_duration_seconds", "inference_extension_scheduler_e2e_duration_seconds", &[]),
];

/// A registry that holds the series of `current` and their twins.
///
/// # Panics
/// Never: the registry is empty before.
#[must_use]
pub fn with_twins(current: Registry) -> Registry {
    let registry = Registry::new();
    let collector = Box::new(Twins(current));
    registry.register(collector).expect("an empty registry takes any collector");
    registry
}

#[derive(Debug)]
struct Twins(Registry);

impl Collector for Twins {
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = self.0.gather();
        let twins: Vec<MetricFamily> = families.iter().filter_map(twin).collect();
        families.extend(twins);
        families
    }
}

/// The family under its earlier name, if it had one.
fn twin(family: &MetricFamily) -> Option<MetricFamily> {
    let name = family.name().strip_prefix("llm_d_epp_")?;
    let (_, earlier, labels) = TWINS.iter().find(|(current, ..)| *current == name)?;
    let kind = family.get_field_type();
    let mut sums: BTreeMap<Vec<&str>, Metric> = BTreeMap::new();
    for metric in family.get_metric() {
        let values = labels.iter().map(|(_, current)| value(metric, current)).collect();
        let sum = sums.entry(values).or_insert_with_key(|values| unmeasured(labels, values));
        add(kind, sum, metric);
    }
    let mut twin = MetricFamily::default();
    let help = family.help();
    let help = help.strip_prefix("[ALPHA] ").unwrap_or(help);
    twin.set_name((*earlier).to_owned());
    twin.set_help(format!("[ALPHA] [Deprecated: Use {}] {help}", family.name()));
    twin.set_field_type(kind);
    twin.set_metric(sums.into_values().collect());
    Some(twin)
}

fn value<'m>(metric: &'m Metric, label: &str) -> &'m str {
    metric.get_label().iter().find(|it| it.name() == label).map_or("", LabelPair::value)
}

fn unmeasured(labels: &[Label], values: &[&str]) -> Metric {
    let pair = |((name, _), value): (&Label, &&str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    Metric::from_label(labels.iter().zip(values).map(pair).collect())
}

fn add(kind: MetricType, sum: &mut Metric, metric: &Metric) {
    match kind {
        MetricType::COUNTER => {
            let mut counter = Counter::default();
            counter.set_value(sum.get_counter().get_value() + metric.get_counter().get_value());
            sum.set_counter(counter);
        }
        MetricType::GAUGE => {
            let mut gauge = Gauge::default();
            gauge.set_value(sum.get_gauge().get_value() + metric.get_gauge().get_value());
            sum.set_gauge(gauge);
        }
        MetricType::HISTOGRAM => {
            let histogram = total(sum.get_histogram(), metric.get_histogram());
            sum.set_histogram(histogram);
        }
        MetricType::SUMMARY | MetricType::UNTYPED => {}
    }
}

/// Histograms of one family have the same buckets, and an empty one has none.
fn total(sum: &Histogram, histogram: &Histogram) -> Histogram {
    let bucket = |(number, bucket): (usize, &Bucket)| {
        let before = sum.get_bucket().get(number).map_or(0, Bucket::cumulative_count);
        let mut total = Bucket::default();
        total.set_upper_bound(bucket.upper_bound());
        total.set_cumulative_count(before + bucket.cumulative_count());
        total
    };
    let mut total = Histogram::default();
    total.set_sample_count(sum.get_sample_count() + histogram.get_sample_count());
    total.set_sample_sum(sum.get_sample_sum() + histogram.get_sample_sum());
    total.set_bucket(histogram.get_bucket().iter().enumerate().map(bucket).collect());
    total
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use llmd_common::metrics::render;

    use super::*;
    use crate::director::usage::Usage;
    use crate::metrics::Metrics;

    #[test]
    fn twins_sum_over_the_labels_that_they_do_not_have() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry, "pool");
        for (fairness_id, seconds) in [("a", 1), ("b", 2)] {
            let request = metrics.request("m", "t", fairness_id, 0);
            request.count(10);
            request.observe_end(Duration::from_secs(seconds), 1, Usage::default());
        }
        let text = render(&with_twins(registry));
        for line in [
            "llm_d_epp_request_total{fairness_id=\"a\",model_name=\"m\",priority=\"0\",target_model_name=\"t\"} 1",
            "inference_objective_request_total{model_name=\"m\",priority=\"0\",target_model_name=\"t\"} 2",
            "inference_objective_request_duration_seconds_sum{model_name=\"m\",target_model_name=\"t\"} 3",
            "inference_objective_request_duration_seconds_bucket{model_name=\"m\",target_model_name=\"t\",le=\"1\"} 1",
            "inference_objective_request_duration_seconds_bucket{model_name=\"m\",target_model_name=\"t\",le=\"2\"} 2",
            "inference_pool_ready_pods{name=\"pool\"} 0",
            "# HELP inference_pool_ready_pods [ALPHA] [Deprecated: Use llm_d_epp_ready_endpoints] ",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn each_twin_stands_once_and_in_order() {
        assert!(TWINS.is_sorted_by(|a, b| a.0 < b.0));
        assert!(TWINS.iter().all(|(_, _, labels)| labels.is_sorted_by(|a, b| a.0 < b.0)));
    }
}
