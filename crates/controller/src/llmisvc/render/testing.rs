//! Services out of manifests, and snapshots of what they are rendered to.

use std::path::Path;
use std::sync::Arc;

use llmd_api::serving::v1alpha2::LLMInferenceService;
use serde_json::Value;

use crate::apis::Apis;
use crate::children::Child;
use crate::llmisvc::facts::Facts;
use crate::llmisvc::service::Service;
use crate::settings::{ClusterSettings, Installation};

/// The service of a manifest whose spec is taken as the effective one, on a cluster that serves every API.
pub(crate) fn service(manifest: &str) -> Service {
    let value: Value = serde_saphyr::from_str(manifest).unwrap();
    let object: LLMInferenceService = serde_json::from_value(value).unwrap();
    let facts = Facts { apis: Apis::all(), ..Facts::default() };
    let spec = object.spec.clone();
    Service::new(
        &object,
        spec,
        Arc::new(Installation::default()),
        Arc::new(ClusterSettings::default()),
        facts,
    )
}

/// Renders every manifest of `testdata/render/<section>` twice and compares it with the snapshot beside it.
pub(crate) fn assert_snapshots(
    section: &str,
    prepare: impl Fn(&mut Service),
    render: impl Fn(&Service) -> Vec<Child>,
) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/render").join(section);
    let mut manifests: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|it| it.unwrap().path())
        .filter(|it| it.extension().is_some_and(|it| it == "yaml"))
        .collect();
    manifests.sort();
    assert!(!manifests.is_empty(), "no manifest in {}", folder.display());
    for manifest in manifests {
        let text = std::fs::read_to_string(&manifest).unwrap();
        let mut service = service(&text);
        prepare(&mut service);
        let children = render(&service);
        assert_eq!(children, render(&service), "{} renders to the same objects twice", manifest.display());
        let bodies: Vec<&Value> = children.iter().map(|it| &it.body).collect();
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(&folder);
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        let name = manifest.file_stem().unwrap().to_string_lossy().into_owned();
        settings.bind(|| insta::assert_yaml_snapshot!(name, bodies));
    }
}
