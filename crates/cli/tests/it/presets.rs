//! The command lines that the shipped presets render, read by the very programs they start.
//!
//! A flag that a program does not know, or a value that it refuses, would otherwise be found by a pod that never gets
//! ready. What the programs honestly do not support yet is named here, word by word.

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::Parser as _;
use llmd_api::serving::v1alpha2::LLMInferenceService;
use llmd_controller::offline::{Plan, plan};
use llmd_controller::presets::ConfigSet;
use llmd_controller::settings::{ClusterSettings, Installation};
use llmd_engine::args::Command;
use llmd_epp::config::EndpointPickerConfig;
use llmd_epp::config::graph::Graph;
use llmd_epp::metrics::Metrics;
use serde_json::Value;

/// A container of a rendered pod.
struct Container {
    /// Kind of the object and name of the container.
    at: String,
    words: Vec<String>,
}

#[test]
fn a_service_of_single_pods_starts() {
    for tls in [false, true] {
        let containers = containers("parallelism: {tensor: 1}", tls);
        assert_eq!(programs(&containers), ["vllm"]);
        assert_eq!(problems(&containers), [""; 0]);
    }
}

#[test]
fn a_disaggregated_service_starts() {
    for tls in [false, true] {
        let containers = containers("prefill: {parallelism: {tensor: 1}}", tls);
        assert_eq!(programs(&containers), ["llmd-sidecar", "vllm", "vllm"]);
        assert_eq!(problems(&containers), [""; 0]);
    }
}

#[test]
fn prefill_answers_to_every_name_that_decode_answers_to() {
    for parallelism in ["prefill: {}", "prefill: {parallelism: {data: 2, dataLocal: 1}, worker: {}}"] {
        for it in containers(parallelism, false).iter().filter(|it| it.words[0] == "vllm") {
            let names = it.words.iter().skip_while(|it| *it != "--served-model-name").skip(1);
            let names: Vec<_> = names.take_while(|it| !it.starts_with('-')).collect();
            assert_eq!(names, ["qwen", "publishers/team/models/qwen"], "{}", it.at);
        }
    }
}

#[test]
fn an_endpoint_picker_starts() {
    for spec in ["router: {route: {}, scheduler: {}}", "router: {scheduler: {}}\nprefill: {}"] {
        let containers = containers(spec, false);
        assert!(programs(&containers).contains(&"llmd-epp"));
        assert_eq!(problems(&containers), [""; 0]);
    }
}

#[test]
fn an_endpoint_picker_reads_metrics_of_engines_that_speak_tls_over_tls() {
    let containers = containers("router: {scheduler: {}}", true);
    let picker = containers.iter().find(|it| it.words[0] == "llmd-epp").unwrap();
    let config = picker.words.iter().skip_while(|it| *it != "--config-text").nth(1).unwrap();
    assert!(config.contains("scheme: https"), "{config}");
    assert_eq!(problems(&containers), [""; 0]);
}

#[test]
fn traces_change_nothing_of_that() {
    let containers = containers("router: {scheduler: {}}\ntracing: {}\nprefill: {}", false);
    assert_eq!(problems(&containers), [""; 0]);
}

#[test]
fn groups_of_data_parallel_pods_start() {
    let workload = "parallelism: {data: 4, dataLocal: 2, tensor: 1, expert: true}";
    for (spec, expected) in [
        (format!("{workload}\nworker: {{containers: []}}"), &["vllm"; 2][..]),
        (
            format!(
                "{workload}\nworker: {{containers: []}}\nprefill: {{{workload}, worker: {{containers: []}}}}"
            ),
            &["llmd-sidecar", "llmd-sidecar", "vllm", "vllm", "vllm", "vllm"],
        ),
    ] {
        let containers = containers(&spec, true);
        assert_eq!(programs(&containers), expected, "{spec}");
        assert_eq!(problems(&containers), [""; 0], "{spec}");
    }
}

#[test]
fn groups_of_pipeline_parallel_pods_are_refused_for_their_size_alone() {
    let flags = ["--pipeline-parallel-size", "--headless"];
    let workload = "parallelism: {pipeline: 2}";
    for spec in [
        format!("{workload}\nworker: {{containers: []}}"),
        format!(
            "{workload}\nworker: {{containers: []}}\nprefill: {{{workload}, worker: {{containers: []}}}}"
        ),
    ] {
        let told = problems(&containers(&spec, true));
        assert!(!told.is_empty(), "{spec}");
        for it in told {
            assert!(flags.iter().any(|flag| it.contains(flag)), "{it}");
        }
    }
}

#[test]
fn sidecars_call_pods_of_their_pool_only() {
    for parallelism in [
        "prefill: {}",
        "parallelism: {data: 2, dataLocal: 1}\nworker: {containers: []}\nprefill: {parallelism: {data: 2, dataLocal: 1}, worker: {containers: []}}",
    ] {
        let containers = containers(parallelism, false);
        let sidecars: Vec<_> = containers.iter().filter(|it| it.words[0] == "llmd-sidecar").collect();
        assert!(!sidecars.is_empty());
        for it in sidecars {
            let args = llmd_sidecar::args::Args::try_parse_from(&it.words).unwrap();
            let config =
                llmd_sidecar::config::Config::new(args, &llmd_sidecar::args::Env::default()).unwrap();
            let pool = config.ssrf_protection.expect("the protection is on").pool;
            assert_eq!(pool.to_string(), "team/chat-inference-pool", "{}", it.at);
        }
    }
}

#[test]
fn without_a_header_for_models_no_rule_matches_by_one() {
    let plan = planned("router: {route: {}, scheduler: {}}", r#"{"modelBasedRoutingHeaderName": ""}"#);
    let route = plan.effective.spec.router.unwrap().route.unwrap().http.unwrap().spec.unwrap();
    assert_eq!(route.rules.len(), 10);
    assert!(route.rules.iter().all(|it| it.matches.iter().all(|it| it.headers.is_empty())));
}

/// The containers of the service with this spec, init containers first.
fn containers(spec: &str, tls: bool) -> Vec<Container> {
    let plan = planned(spec, &format!(r#"{{"enableLLMInferenceServiceTLS": {tls}}}"#));
    let pods = plan.children.iter().flat_map(|child| {
        let paths = [
            "/spec/template/spec",
            "/spec/leaderWorkerTemplate/leaderTemplate/spec",
            "/spec/leaderWorkerTemplate/workerTemplate/spec",
        ];
        paths.into_iter().filter_map(|it| Some((child.kind, child.body.pointer(it)?)))
    });
    pods.flat_map(|(kind, pod)| {
        let lists = [&pod["initContainers"], &pod["containers"]];
        let containers = lists.into_iter().filter_map(Value::as_array).flatten();
        containers.map(move |it| Container { at: format!("{kind:?} {}", it["name"]), words: words(it) })
    })
    .filter(|it| it.words[0].starts_with("llmd-") || it.words[0] == "vllm")
    .collect()
}

/// What the controller makes of a service with this spec, where the settings have this `ingress`.
fn planned(spec: &str, ingress: &str) -> Plan {
    let manifest = format!(
        "apiVersion: serving.kserve.io/v1alpha2\nkind: LLMInferenceService\nmetadata: {{name: chat, namespace: team}}\n\
         spec:\n  model: {{uri: 'hf://org/qwen', name: qwen}}\n  {}",
        spec.replace('\n', "\n  ")
    );
    let service: LLMInferenceService = serde_saphyr::from_str(&manifest).unwrap();
    let settings = BTreeMap::from([("ingress".to_owned(), ingress.to_owned())]);
    let settings = ClusterSettings::parse(&settings).unwrap();
    plan(&service, &ConfigSet::shipped("kserve"), Installation::default(), settings).unwrap()
}

/// Command and arguments as the kubelet starts them in the leader of a group of two.
fn words(container: &Value) -> Vec<String> {
    let lists = [&container["command"], &container["args"]];
    let words = lists.into_iter().filter_map(Value::as_array).flatten().filter_map(Value::as_str);
    let words = words.map(|it| {
        it.replace("$(LWS_LEADER_ADDRESS)", "chat-0.chat.team")
            .replace("$(LWS_GROUP_SIZE)", "2")
            .replace("$(LWS_WORKER_INDEX)", "0")
    });
    words.collect()
}

fn programs(containers: &[Container]) -> Vec<&str> {
    let mut programs: Vec<_> = containers.iter().map(|it| it.words[0].as_str()).collect();
    programs.sort_unstable();
    programs
}

/// What the programs say against their command lines.
fn problems(containers: &[Container]) -> Vec<String> {
    let problem = |it: &Container| {
        let told = match it.words[0].as_str() {
            "vllm" => engine(&it.words),
            "llmd-sidecar" => sidecar(&it.words),
            _ => endpoint_picker(&it.words),
        };
        told.err().map(|told| format!("{}: {told}", it.at))
    };
    containers.iter().filter_map(problem).collect()
}

fn engine(words: &[String]) -> Result<(), String> {
    let words = words.iter().map(OsString::from);
    let invocation =
        llmd_engine::args::parse_from(words, "", "info".to_owned()).map_err(|it| it.to_string())?;
    let Command::Serve(args) = invocation.command else { return Err("does not serve".to_owned()) };
    llmd_engine::config::Config::try_from(*args).map(drop).map_err(|it| it.to_string())
}

fn sidecar(words: &[String]) -> Result<(), String> {
    let args = llmd_sidecar::args::Args::try_parse_from(words).map_err(|it| it.to_string())?;
    let env = llmd_sidecar::args::Env::default();
    llmd_sidecar::config::Config::new(args, &env).map(drop).map_err(|it| it.to_string())
}

fn endpoint_picker(words: &[String]) -> Result<(), String> {
    let args = llmd_epp::args::Args::parse_from_words(words).map_err(|it| it.to_string())?;
    let settings = llmd_epp::args::Settings::try_from(args).map_err(|it| it.to_string())?;
    if settings.kubernetes.is_none() {
        return Err("nothing says which pods serve".to_owned());
    }
    let llmd_epp::args::ConfigSource::Text(text) = &settings.config else { return Err("no text".to_owned()) };
    let config = EndpointPickerConfig::parse(text).map_err(|it| it.to_string())?;
    let metrics = Metrics::new(&prometheus::Registry::new(), &settings.pool_name);
    Graph::load(&config, &metrics).map(drop).map_err(|it| it.to_string())
}
