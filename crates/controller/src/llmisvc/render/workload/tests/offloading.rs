//! `kvCacheOffloading` with the shipped presets: vLLM gets it as one argument, llmd's engine is not given it in silence.

use llmd_api::serving::conditions;
use serde_json::{Value, json};

use super::preset_service;
use crate::children::{Child, ChildKind};
use crate::llmisvc::render::workload::{check, render};

const OFFLOADING: &str = "kvCacheOffloading: {cpu: 1Gi, secondary: [{fileSystem: {emptyDir: {size: 2Gi}}}]}";

/// The values of the flag in the `main` containers of all pods of the objects of this name.
fn configs(children: &[Child], name: &str) -> Vec<Value> {
    let runs_pods = |it: &&Child| matches!(it.kind, ChildKind::Deployment | ChildKind::LeaderWorkerSet);
    let object = children.iter().filter(runs_pods).find(|it| it.name == name).unwrap();
    let paths = [
        "/spec/template/spec",
        "/spec/leaderWorkerTemplate/leaderTemplate/spec",
        "/spec/leaderWorkerTemplate/workerTemplate/spec",
    ];
    let pods = paths.into_iter().filter_map(|it| object.body.pointer(it));
    pods.map(|pod| {
        let main = &pod["containers"][0];
        let words = [&main["command"], &main["args"]].into_iter().filter_map(Value::as_array).flatten();
        let words: Vec<_> = words.filter_map(Value::as_str).collect();
        assert!(!words.iter().any(|it| it.contains("bash") || *it == "-c"), "{words:?}");
        let mut given = words.iter().filter_map(|it| it.strip_prefix("--kv-transfer-config="));
        let config = given.next().map_or(Value::Null, |it| serde_json::from_str(it).unwrap());
        assert_eq!(given.next(), None, "{words:?}");
        config
    })
    .collect()
}

fn nixl() -> Value {
    json!({ "kv_connector": "NixlConnector", "kv_role": "kv_both" })
}

fn offloading() -> Value {
    json!({
        "kv_connector": "OffloadingConnector",
        "kv_connector_extra_config": {
            "cpu_bytes_to_use": 1 << 30,
            "secondary_tiers": [{ "root_dir": "/mnt/kv-cache-0", "type": "fs" }],
            "spec_name": "TieringOffloadingSpec",
        },
        "kv_role": "kv_both",
    })
}

fn both() -> Value {
    json!({
        "kv_connector": "MultiConnector",
        "kv_connector_extra_config": { "connectors": [nixl(), offloading()] },
        "kv_role": "kv_both",
    })
}

#[test]
fn vllm_gets_the_tiers_as_one_argument_of_json() {
    for group in
        ["", "parallelism: {data: 4, dataLocal: 2}, worker: {}", "parallelism: {pipeline: 2}, worker: {}"]
    {
        let (kind, base) = if group.is_empty() { ("", "") } else { ("-mn", "-multi-node") };
        let n_pods = if group.is_empty() { 1 } else { 2 };
        let lines: Vec<_> = [group, OFFLOADING].into_iter().filter(|it| !it.is_empty()).collect();
        let workload = lines.join(", ");
        let alone = format!("baseRefs: [{{name: llmd-engine-vllm{base}}}], {workload}");
        let alone = preset_service(&alone);
        assert_eq!(check(&alone), [], "{group}");
        assert_eq!(configs(&render(&alone), &format!("qwen-kserve{kind}")), vec![offloading(); n_pods]);

        let image = "template: {containers: [{name: main, image: vllm}]}";
        let worker = "worker: {containers: [{name: main, image: vllm}]}";
        let vllm = workload.replace("worker: {}", worker);
        let pair = preset_service(&format!("{image}, {vllm}, prefill: {{{image}, {vllm}}}"));
        assert_eq!(check(&pair), [], "{group}");
        let children = render(&pair);
        assert_eq!(configs(&children, &format!("qwen-kserve{kind}")), vec![both(); n_pods]);
        assert_eq!(configs(&children, &format!("qwen-kserve{kind}-prefill")), vec![both(); n_pods]);
    }
}

#[test]
fn a_workload_without_tiers_has_the_connectors_of_before() {
    let service = preset_service(&format!("prefill: {{{OFFLOADING}}}"));
    let children = render(&service);
    assert_eq!(configs(&children, "qwen-kserve"), [nixl()]);
    assert_eq!(configs(&children, "qwen-kserve-prefill"), [both()]);
    assert_eq!(configs(&render(&preset_service("replicas: null")), "qwen-kserve"), [Value::Null]);
}

#[test]
fn llmds_engine_is_not_given_tiers_in_silence() {
    let told = check(&preset_service(&format!("{OFFLOADING}, prefill: {{}}")));
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].condition, conditions::MAIN_WORKLOAD_READY);
    assert!(told[0].message.starts_with("spec.kvCacheOffloading: not supported by llmd-engine"), "{told:?}");
    assert!(told[0].message.contains("llmd-engine-vllm"), "{told:?}");
    let told = check(&preset_service(&format!(
        "prefill: {{{OFFLOADING}, worker: {{}}, parallelism: {{pipeline: 2}}}}"
    )));
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].condition, conditions::PREFILL_WORKER_WORKLOAD_READY);
    assert!(told[0].message.starts_with("spec.prefill.kvCacheOffloading: not supported"), "{told:?}");
}
