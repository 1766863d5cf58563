use std::path::PathBuf;

use super::*;
use crate::args::ManifestArgs;
use crate::manifest;

/// The plan of a service with these lines below `spec`.
fn plan(spec: &str) -> Plan {
    let dir = tempfile::tempdir().unwrap();
    let file: PathBuf = dir.path().join("service.yaml");
    let head =
        "apiVersion: serving.kserve.io/v1alpha2\nkind: LLMInferenceService\nmetadata: {name: it}\nspec:\n";
    std::fs::write(&file, format!("{head}{spec}")).unwrap();
    manifest::read(&ManifestArgs { file, preset: Vec::new(), namespace: "team".into() })
        .unwrap()
        .plan()
        .unwrap()
}

#[test]
fn a_disaggregated_service_becomes_as_many_engines_with_the_users_flags() {
    let spec = "
  model: {uri: 'hf://org/tiny:main', name: tiny}
  replicas: 2
  template:
    containers:
    - name: main
      args: [--max-model-len, '512']
      env: [{name: VLLM_CPU_KVCACHE_SPACE, value: '1'}]
  prefill: {replicas: 3}
  router: {scheduler: {}, route: {}}
";
    let local = local_service(&plan(spec), false).unwrap();
    assert_eq!(local.model.as_deref(), Some("org/tiny"));
    assert_eq!(local.names, ["tiny", "publishers/team/models/tiny"]);
    assert_eq!((local.decode.n_engines, local.prefill.as_ref().unwrap().n_engines), (2, 3));
    assert_eq!(local.decode.engine.args, ["--max-model-len", "512"]);
    assert_eq!(local.decode.engine.env, [("VLLM_CPU_KVCACHE_SPACE".to_owned(), "1".to_owned())]);
    assert_eq!(local.prefill.unwrap().engine, EngineFlags::default());
}

#[test]
fn every_data_parallel_rank_is_an_engine() {
    let spec = "
  model: {uri: 'hf://org/tiny'}
  replicas: 2
  parallelism: {data: 2, dataLocal: 1}
  worker: {}
";
    assert_eq!(local_service(&plan(spec), false).unwrap().decode.n_engines, 4);
}

#[test]
fn what_one_machine_cannot_be_is_said() {
    let refused = |spec: &str, has_model| local_service(&plan(spec), has_model).unwrap_err();
    let pvc = "\n  model: {uri: 'pvc://claim/m'}\n";
    assert_eq!(refused(pvc, false), Error::Elsewhere("pvc://claim/m".into()));
    assert!(local_service(&plan(pvc), true).is_ok());
    let many = "\n  model: {uri: 'hf://o/m'}\n  replicas: 65\n";
    assert_eq!(refused(many, false), Error::TooMany { path: "template", n: 65 });
    let pipeline = "\n  model: {uri: 'hf://o/m'}\n  parallelism: {pipeline: 2}\n  worker: {}\n";
    assert_eq!(refused(pipeline, false), Error::Split { path: "parallelism.pipeline", value: 2 });
    let shell = "
  model: {uri: 'hf://o/m'}
  template: {containers: [{name: main, command: [/bin/bash, -c, exec vllm serve]}]}
";
    let program = "/bin/bash".to_owned();
    assert_eq!(refused(shell, false), Error::NotAnEngine { workload: "template", program });
}

#[test]
fn flags_that_name_the_cluster_go_with_their_values() {
    let words = "--served-model-name a b --port 8000 --max-num-seqs 4 --ssl-certfile=/c --data_parallel_size=2 --expert";
    assert_eq!(without_cluster_flags(words.split(' ')), ["--max-num-seqs", "4", "--expert"]);
}

#[test]
fn the_services_own_picker_configuration_finds_the_local_endpoints() {
    let config = json!({ "plugins": [{ "type": "queue-scorer" }], "schedulingProfiles": [{ "name": "p" }] });
    let config = picker_config(config.as_object().unwrap(), "/s/endpoints.yaml");
    assert_eq!(config["plugins"][0]["parameters"]["path"], "/s/endpoints.yaml");
    assert_eq!(config["plugins"][1]["type"], "queue-scorer");
    assert_eq!(config["dataLayer"]["discovery"]["pluginRef"], "file-discovery");
    assert_eq!(config["schedulingProfiles"][0]["name"], "p");
}
