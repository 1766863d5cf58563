//! Alerts: what is wrong, for how long it may be so, and what to do.

use serde_json::{Value, json};

/// One alert.
struct Alert {
    name: &'static str,
    severity: Severity,
    /// How long the expression has to hold.
    lasting: &'static str,
    expression: &'static str,
    summary: &'static str,
    action: &'static str,
}

#[derive(Clone, Copy)]
enum Severity {
    /// Users notice.
    Critical,
    /// They will.
    Warning,
}

/// The groups of a Prometheus rule file.
pub(super) fn rules() -> Value {
    let group = |(name, alerts): (&str, &[Alert])| json!({ "name": name, "rules": alerts.iter().map(rule).collect::<Vec<_>>() });
    let groups =
        [("llmd-requests", REQUESTS), ("llmd-engines", ENGINES), ("llmd-control-plane", CONTROL_PLANE)];
    json!({ "groups": groups.map(group) })
}

fn rule(alert: &Alert) -> Value {
    let severity = match alert.severity {
        Severity::Critical => "critical",
        Severity::Warning => "warning",
    };
    json!({
        "alert": alert.name,
        "expr": alert.expression,
        "for": alert.lasting,
        "labels": { "severity": severity },
        "annotations": { "summary": alert.summary, "description": alert.action },
    })
}

const REQUESTS: &[Alert] = &[
    Alert {
        name: "LLMHighErrorRate",
        severity: Severity::Critical,
        lasting: "5m",
        expression: "sum by (namespace, model_name) (rate(llm_d_epp_request_error_total[5m])) / \
                     sum by (namespace, model_name) (rate(llm_d_epp_request_total[5m])) > 0.05",
        summary: "More than 5 % of the requests for {{ $labels.model_name }} fail",
        action: "Look at error_code of llm_d_epp_request_error_total: 429 and 503 mean saturation (scale out), \
                 502 and 504 a failing engine (its log and events).",
    },
    Alert {
        name: "LLMTTFTSLOBurnFast",
        severity: Severity::Critical,
        lasting: "2m",
        expression: "1 - sum by (namespace, model_name) (rate(vllm:time_to_first_token_seconds_bucket{le=\"2.5\"}[1h])) / \
                     sum by (namespace, model_name) (rate(vllm:time_to_first_token_seconds_count[1h])) > 14.4 * 0.01 \
                     and 1 - sum by (namespace, model_name) (rate(vllm:time_to_first_token_seconds_bucket{le=\"2.5\"}[5m])) / \
                     sum by (namespace, model_name) (rate(vllm:time_to_first_token_seconds_count[5m])) > 14.4 * 0.01",
        summary: "{{ $labels.model_name }} uses up its budget of slow first tokens 14 times too fast",
        action: "The objective is 99 % within 2.5 s. Compare queue time with prefill time: queueing wants replicas, \
                 long prefill wants prefix-aware routing or prefill engines.",
    },
    Alert {
        name: "LLMTTFTSLOBurnSlow",
        severity: Severity::Warning,
        lasting: "15m",
        expression: "1 - sum by (namespace, model_name) (rate(vllm:time_to_first_token_seconds_bucket{le=\"2.5\"}[6h])) / \
                     sum by (namespace, model_name) (rate(vllm:time_to_first_token_seconds_count[6h])) > 6 * 0.01 \
                     and 1 - sum by (namespace, model_name) (rate(vllm:time_to_first_token_seconds_bucket{le=\"2.5\"}[30m])) / \
                     sum by (namespace, model_name) (rate(vllm:time_to_first_token_seconds_count[30m])) > 6 * 0.01",
        summary: "{{ $labels.model_name }} uses up its budget of slow first tokens 6 times too fast",
        action: "As LLMTTFTSLOBurnFast, with time to plan: add replicas before the budget of the month is gone.",
    },
    Alert {
        name: "LLMPDInactive",
        severity: Severity::Warning,
        lasting: "10m",
        expression: "sum by (namespace) (increase(llmd_sidecar_pd_requests_total[10m])) > 0 \
                     unless sum by (namespace) (increase(llmd:kv_transfer_blocks_total[10m])) > 0",
        summary: "Requests are split into prefill and decode in {{ $labels.namespace }}, but no KV cache moves",
        action: "Decode recomputes every prompt. Look at llmd_sidecar_pd_kv_params_missing_total (prefill engines \
                 without KV transfer) and llmd:kv_transfer_failures_total (network, unequal engines).",
    },
];

const ENGINES: &[Alert] = &[
    Alert {
        name: "LLMKVCacheExhaustion",
        severity: Severity::Warning,
        lasting: "10m",
        expression: "vllm:kv_cache_usage_perc > 0.95",
        summary: "The KV cache of {{ $labels.pod }} is full",
        action: "Sequences are preempted and computed again. Add replicas, or lower --max-num-seqs or \
                 --max-model-len.",
    },
    Alert {
        name: "LLMQueueGrowing",
        severity: Severity::Warning,
        lasting: "5m",
        expression: "sum by (namespace, model_name) (vllm:num_requests_waiting) > \
                     2 * sum by (namespace, model_name) (vllm:num_requests_running) and \
                     sum by (namespace, model_name) (deriv(vllm:num_requests_waiting[5m])) > 0",
        summary: "More requests for {{ $labels.model_name }} arrive than the engines finish",
        action: "Add replicas; without more capacity, shed load by objectives of lower priority.",
    },
    Alert {
        name: "LLMPreemptionStorm",
        severity: Severity::Warning,
        lasting: "5m",
        expression: "rate(vllm:num_preemptions_total[5m]) > 1",
        summary: "{{ $labels.pod }} preempts more than one sequence a second",
        action: "Work is done twice. Lower --max-num-seqs or give the KV cache more memory.",
    },
    Alert {
        name: "LLMPrefixHitCollapse",
        severity: Severity::Warning,
        lasting: "15m",
        expression: "sum by (namespace, model_name) (rate(vllm:prefix_cache_hits_total[15m])) / \
                     sum by (namespace, model_name) (rate(vllm:prefix_cache_queries_total[15m])) < 0.5 * \
                     sum by (namespace, model_name) (rate(vllm:prefix_cache_hits_total[1h] offset 1h)) / \
                     sum by (namespace, model_name) (rate(vllm:prefix_cache_queries_total[1h] offset 1h))",
        summary: "Prompts of {{ $labels.model_name }} hit the prefix cache half as often as an hour ago",
        action: "Either the traffic changed or routing lost its affinity: compare with \
                 llm_d_epp_prefix_indexer_hit_ratio and look for restarted endpoint pickers.",
    },
    Alert {
        name: "LLMKVTransferFailing",
        severity: Severity::Warning,
        lasting: "5m",
        expression: "sum by (namespace, pod, reason) (rate(llmd:kv_transfer_failures_total[5m])) > 0.1",
        summary: "KV transfers to {{ $labels.pod }} fail: {{ $labels.reason }}",
        action: "Prompts are computed again on the decode engine. Check the network between the pods and that both \
                 engines run the same model, data type and block size.",
    },
    Alert {
        name: "LLMEngineStalled",
        severity: Severity::Critical,
        lasting: "1m",
        expression: "vllm:num_requests_running > 0 and increase(vllm:iteration_tokens_total_count[1m]) == 0",
        summary: "{{ $labels.pod }} runs requests but completes no step",
        action: "Its /health is red and its liveness probe will restart it. Keep the log before that.",
    },
    Alert {
        name: "LLMRoutingImbalance",
        severity: Severity::Warning,
        lasting: "15m",
        expression: "max by (namespace, model_name) (vllm:num_requests_running) > \
                     3 * avg by (namespace, model_name) (vllm:num_requests_running) + 3",
        summary: "One engine of {{ $labels.model_name }} has three times the work of the others",
        action: "A scorer outweighs the load: look at the weights of prefix and session scorers against the queue's.",
    },
];

const CONTROL_PLANE: &[Alert] = &[
    Alert {
        name: "EPPNoReadyEndpoints",
        severity: Severity::Critical,
        lasting: "1m",
        expression: "llm_d_epp_ready_endpoints == 0",
        summary: "Pool {{ $labels.name }} has no endpoint that answers",
        action: "Every request gets 503. Look at the pods of the pool's selector and at their readiness.",
    },
    Alert {
        name: "EPPStaleMetrics",
        severity: Severity::Warning,
        lasting: "5m",
        expression: "sum by (namespace, source_type) (rate(llm_d_epp_datalayer_poll_errors_total[5m])) > 1",
        summary: "The endpoint picker cannot read metrics of its endpoints",
        action: "It decides with old figures. Check port, scheme and path of the metrics source, and network policies.",
    },
    Alert {
        name: "SchedulingLatencyHigh",
        severity: Severity::Warning,
        lasting: "5m",
        expression: "histogram_quantile(0.99, sum by (namespace, le) \
                     (rate(llm_d_epp_scheduler_e2e_duration_seconds_bucket[5m]))) > 0.05",
        summary: "Choosing an endpoint takes more than 50 ms",
        action: "Look at llm_d_epp_plugin_duration_seconds by plugin_type, and give the endpoint picker more CPU.",
    },
    Alert {
        name: "LLMServiceNotReady",
        severity: Severity::Warning,
        lasting: "15m",
        expression: "llmisvc_condition_status{condition=\"Ready\"} != 1",
        summary: "LLMInferenceService {{ $labels.namespace }}/{{ $labels.name }} is not ready",
        action: "`kubectl describe llmisvc` names the condition, its reason and what to do.",
    },
    Alert {
        name: "LLMControllerErrors",
        severity: Severity::Warning,
        lasting: "15m",
        expression: "sum by (reason) (rate(llmd_controller_reconcile_errors_total[5m])) > 0.1",
        summary: "The controller fails again and again: {{ $labels.reason }}",
        action: "Its log names the services; their conditions say the rest.",
    },
    Alert {
        name: "LLMControllerWatchDown",
        severity: Severity::Critical,
        lasting: "5m",
        expression: "min by (resource) (llmd_controller_watch_up) == 0",
        summary: "The controller does not see changes of {{ $labels.resource }}",
        action: "Check the API server and the controller's rights (`kubectl auth can-i`).",
    },
    Alert {
        name: "LLMControllerNoLeader",
        severity: Severity::Critical,
        lasting: "2m",
        expression: "sum(llmd_controller_leader) < 1",
        summary: "No controller reconciles",
        action: "Look at the Lease in the controller's namespace and at the logs of its pods.",
    },
];
