//! 0.7.0: prefill/decode plugins are called after disaggregation, a decider says when to disaggregate, and the names
//! of the engines' metrics are configured instead of given as flags.

use serde_json::{Map, Value, json};

use super::document::{self, Plugin};
use super::{PREFIX_SCORER, Step, Surroundings, Version};
use crate::llmisvc::picker::command_line::Arity;

pub(super) const STEP: Step = Step {
    since: Version(0, 7, 0),
    flags: &[
        (METRICS[0].flag, Arity::Valued),
        (METRICS[1].flag, Arity::Valued),
        (METRICS[2].flag, Arity::Valued),
        (METRICS[3].flag, Arity::Valued),
        (METRICS[4].flag, Arity::Valued),
    ],
    apply,
};

/// Plugin that knows the metrics' names, in this version.
pub(super) const PROTOCOL_METRICS: &str = "model-server-protocol-metrics";
/// The same plugin in later versions.
pub(super) const METRICS_EXTRACTOR: &str = "core-metrics-extractor";
const HANDLER: &str = "disagg-profile-handler";
const ALWAYS: &str = "always-disagg-pd-decider";
const BY_PREFIX: &str = "prefix-based-pd-decider";
/// Characters in a token, by the rule that turns the old threshold into the new one.
const CHARACTERS_PER_TOKEN: f64 = 4.0;

/// A metric's flag, the field that replaces it, and what vLLM calls the metric.
struct Metric {
    flag: &'static str,
    field: &'static str,
    vllm: &'static str,
}

const METRICS: [Metric; 5] = [
    Metric {
        flag: "total-queued-requests-metric",
        field: "queuedRequestsSpec",
        vllm: "vllm:num_requests_waiting",
    },
    Metric {
        flag: "total-running-requests-metric",
        field: "runningRequestsSpec",
        vllm: "vllm:num_requests_running",
    },
    Metric {
        flag: "kv-cache-usage-percentage-metric",
        field: "kvUsageSpec",
        vllm: "vllm:kv_cache_usage_perc",
    },
    Metric { flag: "lora-info-metric", field: "loraSpec", vllm: "vllm:lora_requests_info" },
    Metric { flag: "cache-info-metric", field: "cacheInfoSpec", vllm: "vllm:cache_config_info" },
];

fn apply(config: &mut Value, surroundings: &Surroundings<'_>) {
    document::rename_type(config, "prefill-header-handler", "disagg-headers-handler");
    let had_threshold = document::has_plugin(config, "pd-profile-handler");
    document::rename_type(config, "pd-profile-handler", HANDLER);
    choose_decider(config, had_threshold);
    for plugin in document::plugins_mut(config) {
        if [HANDLER, PREFIX_SCORER].iter().any(|it| document::is_type(plugin, it)) {
            document::take_parameter(plugin, "hashBlockSize");
        }
    }
    configure_metrics(config, surroundings);
}

/// The handler's threshold in characters becomes a decider; a handler of the old kind had threshold 0 by default.
fn choose_decider(config: &mut Value, had_threshold: bool) {
    let Some(handler) = document::plugin_mut(config, HANDLER) else { return };
    let named = document::take_parameter(handler, "deciderPluginName");
    let threshold = document::take_parameter(handler, "threshold");
    let has_deciders = handler.get("parameters").is_some_and(|it| it.get("deciders").is_some());
    if has_deciders {
        return;
    }
    if let Some(named) = named {
        set_decider(config, &named);
    } else if had_threshold || threshold.is_some() {
        let tokens = threshold.and_then(|it| it.as_f64()).map_or(0.0, |it| it / CHARACTERS_PER_TOKEN).ceil();
        let decider = if tokens > 0.0 { BY_PREFIX } else { ALWAYS };
        declare_decider(config, decider, tokens);
        let name = document::plugin_mut(config, decider).and_then(|it| document::identity(it));
        let name: Value = name.unwrap_or(decider).into();
        set_decider(config, &name);
    }
}

/// Declares the decider before the handler, which looks it up.
fn declare_decider(config: &mut Value, decider: &str, tokens: f64) {
    if document::has_plugin(config, decider) {
        return;
    }
    document::insert_plugin(config, document::position(config, HANDLER).unwrap_or(usize::MAX), decider);
    if decider == BY_PREFIX
        && let Some(parameters) = document::plugin_mut(config, decider).and_then(document::parameters_mut)
    {
        parameters.insert("nonCachedTokens".to_owned(), json!(tokens as u64));
    }
}

fn set_decider(config: &mut Value, decider: &Value) {
    if let Some(parameters) = document::plugin_mut(config, HANDLER).and_then(document::parameters_mut) {
        parameters.insert("deciders".to_owned(), json!({ "prefill": decider }));
    }
}

/// The flags' values, and vLLM's names for what no flag names, as the description of the default engine.
fn configure_metrics(config: &mut Value, surroundings: &Surroundings<'_>) {
    if surroundings.flags.is_empty() {
        return;
    }
    let Some(plugin) = metrics_plugin(config) else { return };
    let Some(parameters) = document::parameters_mut(plugin) else { return };
    let engine = parameters.get("defaultEngine").and_then(Value::as_str).unwrap_or("vllm").to_owned();
    let engines = parameters.entry("engineConfigs").or_insert_with(|| json!([]));
    let Some(engines) = engines.as_array_mut() else { return };
    if !engines.iter().any(|it| it["name"] == engine) {
        engines.push(json!({ "name": engine }));
    }
    let described = engines.iter_mut().find(|it| it["name"] == engine).and_then(Value::as_object_mut);
    described.into_iter().for_each(|it| describe(it, surroundings));
}

/// The plugin that knows the metrics' names, by the name of this version or of a later one, declared where there is
/// none.
fn metrics_plugin(config: &mut Value) -> Option<&mut Plugin> {
    let called = |name: &str| document::plugins(config).position(|it| document::identity(it) == Some(name));
    let is_one =
        |it: &Plugin| [METRICS_EXTRACTOR, PROTOCOL_METRICS].iter().any(|type_| document::is_type(it, type_));
    let found = called(METRICS_EXTRACTOR)
        .or_else(|| called(PROTOCOL_METRICS))
        .or_else(|| document::plugins(config).position(is_one));
    match found {
        Some(index) => document::plugins_mut(config).nth(index),
        None => document::ensure_plugin(config, PROTOCOL_METRICS),
    }
}

fn describe(engine: &mut Map<String, Value>, surroundings: &Surroundings<'_>) {
    for Metric { flag, field, vllm } in &METRICS {
        let given = surroundings.flags.get(flag).map_or(*vllm, String::as_str);
        engine.entry(*field).or_insert_with(|| given.into());
    }
}
