//! Which presets a service needs, and under which names it keeps them.

use std::collections::BTreeMap;

use llmd_api::serving::v1alpha2::{LLMInferenceServiceSpec, SchedulerSpec, WorkloadSpec};

use crate::llmisvc::picker;
use crate::settings::Installation;

pub const TEMPLATE: &str = "config-llm-template";
pub const DECODE_TEMPLATE: &str = "config-llm-decode-template";
pub const PREFILL_TEMPLATE: &str = "config-llm-prefill-template";
pub const WORKER_DATA_PARALLEL: &str = "config-llm-worker-data-parallel";
pub const DECODE_WORKER_DATA_PARALLEL: &str = "config-llm-decode-worker-data-parallel";
pub const PREFILL_WORKER_DATA_PARALLEL: &str = "config-llm-prefill-worker-data-parallel";
pub const WORKER_PIPELINE_PARALLEL: &str = "config-llm-worker-pipeline-parallel";
pub const DECODE_WORKER_PIPELINE_PARALLEL: &str = "config-llm-decode-worker-pipeline-parallel";
pub const PREFILL_WORKER_PIPELINE_PARALLEL: &str = "config-llm-prefill-worker-pipeline-parallel";
pub const SCHEDULER: &str = "config-llm-scheduler";
pub const SCHEDULER_LATENCY_PREDICTOR: &str = "config-llm-scheduler-latency-predictor";
pub const TOKENIZER: &str = "config-llm-tokenizer";
pub const ROUTER_ROUTE: &str = "config-llm-router-route";
pub const TRACING: &str = "config-llm-tracing";

/// The presets that KServe calls well-known: services stay with the names under which they first used them, and they
/// are protected against deletion. All of them are shipped but [`SCHEDULER_LATENCY_PREDICTOR`]: llmd's endpoint picker
/// has no such plugin, see [`way_out`]. The shipped pipeline-parallel presets are no part of the list, because KServe
/// pins none.
pub const WELL_KNOWN: &[&str] = &[
    DECODE_TEMPLATE,
    DECODE_WORKER_DATA_PARALLEL,
    PREFILL_TEMPLATE,
    PREFILL_WORKER_DATA_PARALLEL,
    ROUTER_ROUTE,
    SCHEDULER,
    SCHEDULER_LATENCY_PREDICTOR,
    TEMPLATE,
    TOKENIZER,
    TRACING,
    WORKER_DATA_PARALLEL,
];

/// What to do about a preset that an installation may well not have.
pub(super) fn way_out(name: &str) -> Option<&'static str> {
    name.ends_with(SCHEDULER_LATENCY_PREDICTOR).then_some(
        "not supported by llmd-epp, so no such preset is shipped: remove the plugin predicted-latency-producer from \
         spec.router.scheduler.config, or install KServe's presets for the scheduler and the latency predictor",
    )
}

/// Before the preset in the status annotation that pins its name.
const PIN: &str = "serving.kserve.io/";

/// Plugin of the endpoint picker that asks the latency predictor.
const LATENCY_PLUGIN: &str = "predicted-latency-producer";

/// Plugins of the endpoint picker that need tokens.
const TOKEN_PLUGINS: &[&str] = &["precise-prefix-cache-scorer", "token-producer"];

/// The presets that a service needs which asks for `spec`, lowest first.
pub(super) fn choose(spec: &LLMInferenceServiceSpec) -> Vec<&'static str> {
    let mut presets = Vec::new();
    let router = spec.router.as_ref();
    if let Some(scheduler) = router.and_then(|it| it.scheduler.as_ref()) {
        if !has_pool_reference(scheduler) {
            presets.push(SCHEDULER);
        }
        if needs_tokenizer(scheduler) {
            presets.push(TOKENIZER);
        }
        if picker::has_plugin(scheduler, &[LATENCY_PLUGIN]) {
            presets.push(SCHEDULER_LATENCY_PREDICTOR);
        }
    }
    if let Some(route) = router.and_then(|it| it.route.as_ref())
        && route.http.as_ref().is_none_or(|it| it.refs.is_empty())
    {
        presets.push(ROUTER_ROUTE);
    }
    if spec.tracing.is_some() {
        presets.push(TRACING);
    }
    presets.extend(workload_presets(spec));
    presets
}

fn workload_presets(spec: &LLMInferenceServiceSpec) -> impl Iterator<Item = &'static str> {
    let main = &spec.workload;
    let (prefill, main) = match &spec.prefill {
        Some(prefill) => (
            by_shape(
                prefill,
                [PREFILL_TEMPLATE, PREFILL_WORKER_DATA_PARALLEL, PREFILL_WORKER_PIPELINE_PARALLEL],
            ),
            by_shape(main, [DECODE_TEMPLATE, DECODE_WORKER_DATA_PARALLEL, DECODE_WORKER_PIPELINE_PARALLEL]),
        ),
        None => (None, by_shape(main, [TEMPLATE, WORKER_DATA_PARALLEL, WORKER_PIPELINE_PARALLEL])),
    };
    prefill.into_iter().chain(main)
}

/// One of the presets for a single node, data parallel and pipeline parallel; none for workers without either.
fn by_shape(workload: &WorkloadSpec, [single, data, pipeline]: [&'static str; 3]) -> Option<&'static str> {
    let parallelism = workload.parallelism.as_ref();
    if workload.worker.is_none() {
        Some(single)
    } else if parallelism.is_some_and(|it| it.is_data_parallel()) {
        Some(data)
    } else {
        parallelism.is_some_and(|it| it.is_pipeline_parallel()).then_some(pipeline)
    }
}

fn has_pool_reference(scheduler: &SchedulerSpec) -> bool {
    scheduler.pool.as_ref().is_some_and(|it| it.reference.is_some())
}

/// Whether a service with this scheduler runs a tokenizer: it is asked for, or a plugin needs tokens.
#[must_use]
pub fn needs_tokenizer(scheduler: &SchedulerSpec) -> bool {
    if has_pool_reference(scheduler) {
        return false;
    }
    scheduler.tokenizer.is_some() || picker::has_plugin(scheduler, TOKEN_PLUGINS)
}

/// The pins of a service after this reconcile: those it has, and where presets are pinned also the names of today.
pub(super) fn pins(
    annotations: Option<&BTreeMap<String, String>>,
    installation: &Installation,
) -> BTreeMap<String, String> {
    let mut pins = BTreeMap::new();
    for preset in WELL_KNOWN {
        let key = format!("{PIN}{preset}");
        let pinned = annotations.and_then(|it| it.get(&key)).filter(|it| !it.is_empty()).cloned();
        let name = pinned.or_else(|| installation.pin_presets.then(|| today(preset, installation)));
        if let Some(name) = name {
            pins.insert(key, name);
        }
    }
    pins
}

/// The name under which a preset is looked up. The route's depends on the gateways of today, so a pin does not
/// hold for it.
pub(super) fn name(preset: &str, pins: &BTreeMap<String, String>, installation: &Installation) -> String {
    let pinned = pins.get(&format!("{PIN}{preset}"));
    pinned
        .filter(|_| installation.pin_presets && preset != ROUTER_ROUTE)
        .cloned()
        .unwrap_or_else(|| today(preset, installation))
}

fn today(preset: &str, installation: &Installation) -> String {
    format!("{}{preset}", installation.config_prefix)
}
