//! Snapshots of what the fixtures become, and what holds for all of them.

mod offloading;
mod properties;
mod rules;

use std::path::Path;
use std::sync::Arc;

use llmd_api::serving::v1alpha2::LLMInferenceService;
use serde_json::Value;

use super::render;
use crate::apis::Apis;
use crate::children::{Child, ChildKind};
use crate::live::{LiveChild, LiveDetail};
use crate::llmisvc::combine::combine;
use crate::llmisvc::facts::Facts;
use crate::llmisvc::service::Service;
use crate::presets::ConfigSet;

/// The service of a manifest whose spec is complete, in a cluster that serves every API.
fn service(manifest: &str) -> Service {
    let value: Value = serde_saphyr::from_str(manifest).unwrap();
    let object: LLMInferenceService = serde_json::from_value(value).unwrap();
    let facts = Facts { apis: Apis::all(), ..Facts::default() };
    Service::new(&object, object.spec.clone(), Arc::default(), Arc::default(), facts)
}

/// Services that leave their pods to the shipped presets, one of each topology.
fn preset_services() -> Vec<(String, Service)> {
    const GROUP: &str = "parallelism: {data: 4, dataLocal: 2}, worker: {}";
    const STAGES: &str = "parallelism: {pipeline: 2}, worker: {}";
    let workloads = [
        String::new(),
        "prefill: {}".to_owned(),
        GROUP.to_owned(),
        STAGES.to_owned(),
        format!("prefill: {{{GROUP}}}"),
        format!("{GROUP}, prefill: {{}}"),
        format!("{GROUP}, prefill: {{{GROUP}}}"),
        format!("{STAGES}, prefill: {{{STAGES}}}"),
    ];
    workloads.into_iter().map(|it| (format!("presets with {it:?}"), preset_service(&it))).collect()
}

/// A routed service with this workload, combined with the shipped presets.
fn preset_service(workload: &str) -> Service {
    let manifest = format!(
        "{{metadata: {{name: qwen, namespace: models}},
           spec: {{model: {{uri: 'hf://qwen/qwen'}}, router: {{route: {{}}, scheduler: {{}}}}, {workload}}}}}"
    );
    let value: Value = serde_saphyr::from_str(&manifest).unwrap();
    let object: LLMInferenceService = serde_json::from_value(value).unwrap();
    let facts = Facts { apis: Apis::all(), ..Facts::default() };
    let (installation, settings) = Default::default();
    let effective = combine(&object, &ConfigSet::shipped("kserve"), &installation, &settings).unwrap();
    Service::new(&object, effective.spec, Arc::new(installation), Arc::new(settings), facts)
}

/// Every fixture with its file name.
fn fixtures() -> Vec<(String, Service)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/render/workload");
    let mut paths: Vec<_> = folder.read_dir().unwrap().map(|it| it.unwrap().path()).collect();
    paths.retain(|it| it.extension().is_some_and(|it| it == "yaml"));
    paths.sort();
    assert!(!paths.is_empty(), "no fixtures in {}", folder.display());
    let read = |it: &Path| {
        let name = it.file_stem().unwrap().to_string_lossy().into_owned();
        (name, service(&std::fs::read_to_string(it).unwrap()))
    };
    paths.iter().map(|it| read(it)).collect()
}

/// Every fixture and every topology of the presets.
fn services() -> Vec<(String, Service)> {
    [fixtures(), preset_services()].concat()
}

/// A live object of the service under test.
fn live(kind: ChildKind, name: &str, detail: LiveDetail) -> LiveChild {
    LiveChild {
        kind,
        namespace: None,
        name: name.to_owned(),
        uid: String::new(),
        owner_uid: None,
        service: String::new(),
        resource_version: String::new(),
        generation: 1,
        deleting: false,
        digest: 0,
        adoptable: false,
        detail,
    }
}

fn bodies(children: Vec<Child>) -> Vec<Value> {
    children.into_iter().map(|it| it.body).collect()
}

#[test]
fn fixtures_become_these_objects() {
    for (name, service) in fixtures() {
        insta::with_settings!({
            snapshot_path => "../../../../testdata/render/workload/snapshots",
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, {
            insta::assert_yaml_snapshot!(name, bodies(render(&service)));
        });
    }
}

#[test]
fn rendering_twice_gives_equal_bytes() {
    for (name, service) in services() {
        let bytes = || serde_json::to_string(&bodies(render(&service))).unwrap();
        assert_eq!(bytes(), bytes(), "{name}");
    }
}
