//! What an LLMInferenceService asks for, as a stack of local processes.
//!
//! Pure: from the plan that the controller would follow. Engines get the flags that the rendered pods would give
//! them; what only makes sense in a cluster (ports, TLS, ranks of other machines) is left out, because `llmd up`
//! sets its own. What a local stack cannot be is an error that says what to do, never left out silently.

use llmd_api::serving::v1alpha2::WorkloadSpec;
use llmd_controller::offline::Plan;
use serde_json::{Map, Value, json};

/// Programs that llmd-engine stands in for, as the first word of the container's command.
const ENGINES: [&str; 2] = ["vllm", "llmd-engine"];

/// Flags of a pod that `llmd up` sets itself or that name other pods, with how many values follow as words of
/// their own. A value after `=` goes with its flag.
const CLUSTER_FLAGS: [(&str, Values); 16] = [
    ("--port", Values::One),
    ("--host", Values::One),
    ("--served-model-name", Values::Many),
    ("--shutdown-timeout", Values::One),
    ("--kv-transfer-config", Values::One),
    ("--enable-ssl-refresh", Values::None),
    ("--ssl-certfile", Values::One),
    ("--ssl-keyfile", Values::One),
    ("--data-parallel-size", Values::One),
    ("--data-parallel-size-local", Values::One),
    ("--data-parallel-address", Values::One),
    ("--data-parallel-rpc-port", Values::One),
    ("--data-parallel-hybrid-lb", Values::None),
    ("--nnodes", Values::One),
    ("--node-rank", Values::One),
    ("--master-addr", Values::One),
];

/// Words that belong to a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Values {
    None,
    One,
    /// Up to the next flag.
    Many,
}

/// Why a service cannot run as local processes.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// The annotation that stops a service.
    #[error("the service is stopped: remove its annotation serving.kserve.io/stop")]
    Stopped,
    /// The effective spec has no such pod.
    #[error("not supported: {workload} has no container main: add it, or use the shipped presets")]
    NoContainer { workload: &'static str },
    /// The pod runs something that is no engine.
    #[error(
        "not supported: {workload} runs {program:?}, and llmd up runs llmd-engine only: remove the command, or use \
         the shipped presets"
    )]
    NotAnEngine { workload: &'static str, program: String },
    /// Several machines share one copy of the model.
    #[error("not supported: {path} is {value}, and llmd up runs whole copies of the model: remove it")]
    Split { path: &'static str, value: i32 },
    /// More processes than one machine should run.
    #[error("{path} asks for {n} engines: llmd up runs 1 to 64")]
    TooMany { path: &'static str, n: i64 },
    /// The weights are somewhere else.
    #[error("model.uri {0} is not on this machine: give its folder with --model")]
    Elsewhere(String),
}

/// A service cut to one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalService {
    /// Hugging Face id from `model.uri`, unless the user gives a folder.
    pub model: Option<String>,
    /// Names under which the model is served; the first is the one to show.
    pub names: Vec<String>,
    pub prefill: Option<LocalWorkload>,
    pub decode: LocalWorkload,
    /// The service's own EndpointPickerConfig.
    pub picker_config: Option<Map<String, Value>>,
}

/// The engines of one workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalWorkload {
    pub n_engines: u16,
    pub engine: EngineFlags,
}

/// What one kind of engine gets besides what `llmd up` sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineFlags {
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
}

/// The stack that `plan` describes. `has_model` = the user gives the model's folder.
///
/// # Errors
/// When the service cannot be a local stack.
pub fn local_service(plan: &Plan, has_model: bool) -> Result<LocalService, Error> {
    let (service, spec) = (&plan.service, &plan.effective.spec);
    if service.is_stopped() {
        return Err(Error::Stopped);
    }
    let name = service.model_name().to_owned();
    let published = format!("publishers/{}/models/{name}", service.namespace);
    let uri = spec.model.as_ref().map(|it| it.uri.as_str()).unwrap_or_default();
    let model = match uri.strip_prefix("hf://") {
        _ if has_model => None,
        Some(id) => Some(id.split_once(':').map_or(id, |(id, _)| id).to_owned()),
        None => return Err(Error::Elsewhere(uri.to_owned())),
    };
    let prefill = spec.prefill.as_ref().map(|it| local_workload("prefill", it)).transpose()?;
    let inline = spec.router.as_ref().and_then(|it| it.scheduler.as_ref()?.config.as_ref()?.inline.as_ref());
    Ok(LocalService {
        model,
        names: vec![name, published],
        prefill,
        decode: local_workload("template", &spec.workload)?,
        picker_config: inline.and_then(Value::as_object).cloned(),
    })
}

fn local_workload(path: &'static str, workload: &WorkloadSpec) -> Result<LocalWorkload, Error> {
    let parallelism = workload.parallelism.clone().unwrap_or_default();
    for (path, ranks) in
        [("parallelism.pipeline", parallelism.pipeline), ("parallelism.tensor", parallelism.tensor)]
    {
        if let Some(value) = ranks.filter(|&it| it > 1) {
            return Err(Error::Split { path, value });
        }
    }
    let ranks = i64::from(parallelism.data.unwrap_or(1).max(1));
    let n = i64::from(workload.replicas.unwrap_or(1)) * ranks;
    let n_engines = u16::try_from(n).ok().filter(|it| (1..=64).contains(it));
    Ok(LocalWorkload {
        n_engines: n_engines.ok_or(Error::TooMany { path, n })?,
        engine: engine_flags(path, workload)?,
    })
}

fn engine_flags(path: &'static str, workload: &WorkloadSpec) -> Result<EngineFlags, Error> {
    let pod = workload.template.as_ref().or(workload.worker.as_ref());
    let main = pod.and_then(|it| it.containers.iter().find(|it| it.name == "main"));
    let main = main.ok_or(Error::NoContainer { workload: path })?;
    let words: Vec<&str> = main.command.iter().chain(&main.args).flatten().map(String::as_str).collect();
    let program = words.first().copied().unwrap_or_default();
    if !ENGINES.contains(&program.rsplit('/').next().unwrap_or(program)) {
        return Err(Error::NotAnEngine { workload: path, program: program.to_owned() });
    }
    // `serve` and the model's folder in the pod.
    let flags = words.iter().skip(1).skip_while(|it| !it.starts_with("--")).copied();
    let env = main.env.iter().flatten().filter(|it| it.name.starts_with("VLLM_"));
    let env = env.filter_map(|it| Some((it.name.clone(), it.value.clone()?)));
    Ok(EngineFlags { args: without_cluster_flags(flags), env: env.collect() })
}

fn without_cluster_flags<'a>(words: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut kept = Vec::new();
    let mut words = words.peekable();
    while let Some(word) = words.next() {
        let (flag, has_value) = word.split_once('=').map_or((word, false), |(flag, _)| (flag, true));
        let values =
            CLUSTER_FLAGS.iter().find(|(it, _)| *it == flag.replace('_', "-")).map(|(_, values)| *values);
        let Some(values) = values else {
            kept.push(word.to_owned());
            continue;
        };
        match values {
            _ if has_value => {}
            Values::None => {}
            Values::One => drop(words.next()),
            Values::Many => while words.next_if(|it| !it.starts_with('-')).is_some() {},
        }
    }
    kept
}

/// The service's own configuration with the endpoints of this machine: the discovery plugin takes the place of
/// the cluster's watches.
#[must_use]
pub fn picker_config(config: &Map<String, Value>, endpoints_file: &str) -> Value {
    let mut config = config.clone();
    let discovery = json!({
        "type": "file-discovery",
        "parameters": { "path": endpoints_file, "watchFile": true },
    });
    let plugins = config.entry("plugins").or_insert_with(|| json!([]));
    if let Some(plugins) = plugins.as_array_mut() {
        plugins.insert(0, discovery);
    }
    let layer = config.entry("dataLayer").or_insert_with(|| json!({}));
    layer["discovery"] = json!({ "pluginRef": "file-discovery" });
    Value::Object(config)
}

#[cfg(test)]
mod tests;
