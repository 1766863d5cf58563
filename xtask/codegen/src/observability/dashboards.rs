//! What the dashboards show.

use super::grafana::{Dashboard, Panel, Query, Unit};

/// Stands for the label filters of the variables in the expressions below.
const FILTER: &str = "$filter";
/// Series of engines and of the endpoint picker's requests carry a model.
const OF_A_MODEL: &str = r#"namespace=~"$namespace", model_name=~"$model_name""#;
/// Other series.
const OF_A_NAMESPACE: &str = r#"namespace=~"$namespace""#;

/// Every dashboard.
pub(super) fn all() -> Vec<Dashboard> {
    vec![engine(), endpoint_picker(), kv_cache(), disaggregation(), failures(), controller()]
}

fn engine() -> Dashboard {
    Dashboard {
        name: "llmd-engine",
        title: "llmd / Engine",
        variables_of: "vllm:num_requests_running",
        panels: vec![
            quantiles("Request latency", "vllm:e2e_request_latency_seconds"),
            quantiles("Time to first token", "vllm:time_to_first_token_seconds"),
            quantiles("Inter-token latency", "vllm:inter_token_latency_seconds"),
            panel(
                "Tokens",
                Unit::PerSecond,
                &[
                    ("sum(rate(vllm:prompt_tokens_total{$filter}[$__rate_interval]))", "prompt"),
                    ("sum(rate(vllm:generation_tokens_total{$filter}[$__rate_interval]))", "generation"),
                ],
            ),
            panel(
                "Requests in the engines",
                Unit::Count,
                &[
                    ("sum(vllm:num_requests_running{$filter})", "running"),
                    ("sum(vllm:num_requests_waiting{$filter})", "waiting"),
                ],
            ),
            panel("KV cache in use", Unit::Ratio, &[("vllm:kv_cache_usage_perc{$filter}", "{{pod}}")]),
            quantiles("Time in the queue", "vllm:request_queue_time_seconds"),
            quantiles("Prefill", "vllm:request_prefill_time_seconds"),
            quantiles("Decode", "vllm:request_decode_time_seconds"),
            panel(
                "Finished requests",
                Unit::PerSecond,
                &[(
                    "sum by (finished_reason) (rate(vllm:request_success_total{$filter}[$__rate_interval]))",
                    "{{finished_reason}}",
                )],
            ),
            quantiles("Tokens of a prompt", "vllm:request_prompt_tokens").counting(),
            quantiles("Tokens of an answer", "vllm:request_generation_tokens").counting(),
        ],
    }
}

fn endpoint_picker() -> Dashboard {
    let of_pool = |title, unit, expression, legend| of_namespace(title, unit, &[(expression, legend)]);
    Dashboard {
        name: "llmd-endpoint-picker",
        title: "llmd / Endpoint picker",
        variables_of: "llm_d_epp_request_total",
        panels: vec![
            panel(
                "Requests",
                Unit::PerSecond,
                &[(
                    "sum by (model_name) (rate(llm_d_epp_request_total{$filter}[$__rate_interval]))",
                    "{{model_name}}",
                )],
            ),
            panel(
                "Errors",
                Unit::PerSecond,
                &[(
                    "sum by (error_code) (rate(llm_d_epp_request_error_total{$filter}[$__rate_interval]))",
                    "{{error_code}}",
                )],
            ),
            quantiles("Request latency", "llm_d_epp_request_duration_seconds"),
            quantiles("Time to first token", "llm_d_epp_request_ttft_seconds"),
            quantiles("Scheduling", "llm_d_epp_scheduler_e2e_duration_seconds").of_namespace(),
            of_pool(
                "Plugins, p99",
                Unit::Seconds,
                "histogram_quantile(0.99, sum by (le, plugin_type) \
                 (rate(llm_d_epp_plugin_duration_seconds_bucket{$filter}[$__rate_interval])))",
                "{{plugin_type}}",
            ),
            of_pool("Ready endpoints", Unit::Count, "llm_d_epp_ready_endpoints{$filter}", "{{name}}"),
            of_pool("Queue, average", Unit::Count, "llm_d_epp_average_queue_size{$filter}", "{{name}}"),
            of_pool(
                "KV cache, average",
                Unit::Ratio,
                "llm_d_epp_average_kv_cache_utilization{$filter}",
                "{{name}}",
            ),
            of_pool(
                "Chosen endpoints",
                Unit::PerSecond,
                "sum by (endpoint_name) \
                 (rate(llm_d_epp_scheduler_attempts_total{$filter, status=\"success\"}[$__rate_interval]))",
                "{{endpoint_name}}",
            ),
            of_pool(
                "Failed scrapes",
                Unit::PerSecond,
                "sum by (source_type) (rate(llm_d_epp_datalayer_poll_errors_total{$filter}[$__rate_interval]))",
                "{{source_type}}",
            ),
            panel(
                "Requests in flight",
                Unit::Count,
                &[("sum(llm_d_epp_request_running{$filter})", "running")],
            ),
        ],
    }
}

fn kv_cache() -> Dashboard {
    Dashboard {
        name: "llmd-kv-cache",
        title: "llmd / KV cache and prefixes",
        variables_of: "vllm:num_requests_running",
        panels: vec![
            panel(
                "Prefix cache hits",
                Unit::Ratio,
                &[(
                    "sum by (pod) (rate(vllm:prefix_cache_hits_total{$filter}[$__rate_interval])) / \
                     sum by (pod) (rate(vllm:prefix_cache_queries_total{$filter}[$__rate_interval]))",
                    "{{pod}}",
                )],
            ),
            panel(
                "Where prompt tokens came from",
                Unit::PerSecond,
                &[(
                    "sum by (source) (rate(vllm:prompt_tokens_by_source_total{$filter}[$__rate_interval]))",
                    "{{source}}",
                )],
            ),
            panel("KV cache in use", Unit::Ratio, &[("vllm:kv_cache_usage_perc{$filter}", "{{pod}}")]),
            panel(
                "Preemptions",
                Unit::PerSecond,
                &[("sum by (pod) (rate(vllm:num_preemptions_total{$filter}[$__rate_interval]))", "{{pod}}")],
            ),
            of_namespace(
                "Hit ratio as the picker sees it, median",
                Unit::Ratio,
                &[(
                    "histogram_quantile(0.5, sum by (le) \
                     (rate(llm_d_epp_prefix_indexer_hit_ratio_bucket{$filter}[$__rate_interval])))",
                    "p50",
                )],
            ),
            of_namespace(
                "Blocks in the picker's index",
                Unit::Count,
                &[("llm_d_epp_prefix_indexer_size{$filter}", "{{plugin_name}}")],
            ),
        ],
    }
}

fn disaggregation() -> Dashboard {
    Dashboard {
        name: "llmd-disaggregation",
        title: "llmd / Prefill and decode",
        variables_of: "vllm:num_requests_running",
        panels: vec![
            panel(
                "Decisions",
                Unit::PerSecond,
                &[(
                    "sum by (decision_type) \
                     (rate(llm_d_epp_disagg_decision_total{$filter}[$__rate_interval]))",
                    "{{decision_type}}",
                )],
            ),
            of_namespace(
                "Split requests",
                Unit::PerSecond,
                &[(
                    "sum by (outcome) (rate(llmd_sidecar_pd_requests_total{$filter}[$__rate_interval]))",
                    "{{outcome}}",
                )],
            ),
            quantiles("Prefill leg", "llmd_sidecar_pd_prefill_seconds").of_namespace(),
            quantiles("Decode leg, first bytes", "llmd_sidecar_pd_decode_ttft_seconds").of_namespace(),
            of_namespace(
                "Fallbacks",
                Unit::PerSecond,
                &[(
                    "sum by (reason) (rate(llmd_sidecar_pd_fallback_total{$filter}[$__rate_interval]))",
                    "{{reason}}",
                )],
            ),
            panel(
                "KV transferred",
                Unit::BytesPerSecond,
                &[(
                    "sum by (pod) (rate(llmd:kv_transfer_bytes_total{$filter}[$__rate_interval]))",
                    "{{pod}}",
                )],
            ),
            panel(
                "Failed transfers",
                Unit::PerSecond,
                &[(
                    "sum by (reason) (rate(llmd:kv_transfer_failures_total{$filter}[$__rate_interval]))",
                    "{{reason}}",
                )],
            ),
            panel(
                "Blocks under a lease",
                Unit::Count,
                &[("llmd:kv_transfer_leased_blocks{$filter}", "{{pod}}")],
            ),
        ],
    }
}

fn failures() -> Dashboard {
    Dashboard {
        name: "llmd-failures",
        title: "llmd / Failures and saturation",
        variables_of: "llm_d_epp_request_total",
        panels: vec![
            panel(
                "Error ratio",
                Unit::Ratio,
                &[(
                    "sum by (model_name) (rate(llm_d_epp_request_error_total{$filter}[$__rate_interval])) / \
                     sum by (model_name) (rate(llm_d_epp_request_total{$filter}[$__rate_interval]))",
                    "{{model_name}}",
                )],
            ),
            panel(
                "Requests refused by engines",
                Unit::PerSecond,
                &[(
                    "sum by (reason) \
                     (rate(vllm:admission_rejections_total{$filter}[$__rate_interval]))",
                    "{{reason}}",
                )],
            ),
            panel(
                "Waiting, by reason",
                Unit::Count,
                &[("sum by (reason) (vllm:num_requests_waiting_by_reason{$filter})", "{{reason}}")],
            ),
            quantiles("Time to first token", "vllm:time_to_first_token_seconds"),
            quantiles("Inter-token latency", "vllm:inter_token_latency_seconds"),
            panel(
                "Idle share of each engine",
                Unit::Ratio,
                &[(
                    "1 - clamp_max(rate(vllm:iteration_tokens_total_count{$filter}[$__rate_interval]), 1)",
                    "{{pod}}",
                )],
            ),
        ],
    }
}

fn controller() -> Dashboard {
    Dashboard {
        name: "llmd-controller",
        title: "llmd / Controller",
        variables_of: "llmisvc_condition_status",
        panels: vec![
            plain(
                "Reconciles",
                Unit::PerSecond,
                "sum by (result) (rate(llmd_controller_reconcile_total[$__rate_interval]))",
                "{{result}}",
            ),
            plain(
                "Reconcile errors",
                Unit::PerSecond,
                "sum by (reason) (rate(llmd_controller_reconcile_errors_total[$__rate_interval]))",
                "{{reason}}",
            ),
            plain(
                "Reconcile duration, p99",
                Unit::Seconds,
                "histogram_quantile(0.99, sum by (le) \
                 (rate(llmd_controller_reconcile_duration_seconds_bucket[$__rate_interval])))",
                "p99",
            ),
            plain("Queue", Unit::Count, "llmd_controller_queue_depth", "{{controller}}"),
            plain(
                "Writes",
                Unit::PerSecond,
                "sum by (operation) (rate(llmd_controller_children_total[$__rate_interval]))",
                "{{operation}}",
            ),
            of_namespace(
                "Services that are not ready",
                Unit::Count,
                &[(
                    "count by (namespace) (llmisvc_condition_status{$filter, condition=\"Ready\"} != 1)",
                    "{{namespace}}",
                )],
            ),
        ],
    }
}

/// A panel about models.
fn panel(title: &'static str, unit: Unit, queries: &[(&str, &str)]) -> Panel {
    filtered(title, unit, queries, OF_A_MODEL)
}

/// A panel about what has no model.
fn of_namespace(title: &'static str, unit: Unit, queries: &[(&str, &str)]) -> Panel {
    filtered(title, unit, queries, OF_A_NAMESPACE)
}

/// A panel with one expression that nothing filters.
fn plain(title: &'static str, unit: Unit, expression: &str, legend: &str) -> Panel {
    filtered(title, unit, &[(expression, legend)], "")
}

fn filtered(title: &'static str, unit: Unit, queries: &[(&str, &str)], filter: &str) -> Panel {
    let query = |(expression, legend): &(&str, &str)| Query {
        expression: expression.replace(FILTER, filter),
        legend: (*legend).to_owned(),
    };
    Panel { title, unit, queries: queries.iter().map(query).collect() }
}

/// Median, p90 and p99 of a histogram about models.
fn quantiles(title: &'static str, histogram: &str) -> Panel {
    let query = |(quantile, legend): (&str, &str)| Query {
        expression: format!(
            "histogram_quantile({quantile}, sum by (le) \
             (rate({histogram}_bucket{{{OF_A_MODEL}}}[$__rate_interval])))"
        ),
        legend: legend.to_owned(),
    };
    let queries = [("0.5", "p50"), ("0.9", "p90"), ("0.99", "p99")].map(query).into();
    Panel { title, unit: Unit::Seconds, queries }
}

impl Panel {
    /// The same of a histogram without models.
    fn of_namespace(mut self) -> Self {
        for query in &mut self.queries {
            query.expression = query.expression.replace(OF_A_MODEL, OF_A_NAMESPACE);
        }
        self
    }

    /// The same of a histogram that counts things.
    fn counting(mut self) -> Self {
        self.unit = Unit::Count;
        self
    }
}
