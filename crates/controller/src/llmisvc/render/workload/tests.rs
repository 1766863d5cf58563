//! Snapshots of what the fixtures become, and what holds for all of them.

mod properties;
mod rules;

use std::path::Path;
use std::sync::Arc;

use llmd_api::serving::v1alpha2::LLMInferenceService;
use serde_json::Value;

use super::render;
use crate::apis::Apis;
use crate::children::Child;
use crate::llmisvc::facts::Facts;
use crate::llmisvc::service::Service;

/// The service of a manifest whose spec is complete, in a cluster that serves every API.
fn service(manifest: &str) -> Service {
    let value: Value = serde_saphyr::from_str(manifest).unwrap();
    let object: LLMInferenceService = serde_json::from_value(value).unwrap();
    let facts = Facts { apis: Apis::all(), ..Facts::default() };
    Service::new(&object, object.spec.clone(), Arc::default(), Arc::default(), facts)
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
    for (name, service) in fixtures() {
        let bytes = || serde_json::to_string(&bodies(render(&service))).unwrap();
        assert_eq!(bytes(), bytes(), "{name}");
    }
}
