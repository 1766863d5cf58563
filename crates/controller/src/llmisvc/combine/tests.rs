//! Combining as a whole.

use std::path::{Path, PathBuf};

use super::*;

/// Configs of a folder, all in one namespace.
struct Folder(BTreeMap<(String, String), Arc<LLMInferenceServiceConfig>>);

impl ConfigSource for Folder {
    fn get(&self, namespace: &str, name: &str) -> Option<Arc<LLMInferenceServiceConfig>> {
        self.0.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }
}

impl Folder {
    fn add(&mut self, namespace: &str, text: &str) {
        let config: LLMInferenceServiceConfig = serde_saphyr::from_str(text).unwrap();
        let name = config.metadata.name.clone().unwrap();
        self.0.insert((namespace.to_owned(), name), Arc::new(config));
    }
}

fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(path);
    if !path.exists() {
        println!("skipped: {} is absent", path.display());
        return None;
    }
    Some(path)
}

fn upstream_presets() -> Option<Folder> {
    let mut folder = Folder(BTreeMap::new());
    for entry in std::fs::read_dir(shared("samples/presets")?).unwrap() {
        folder.add("kserve", &std::fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    Some(folder)
}

fn service(text: &str) -> LLMInferenceService {
    serde_saphyr::from_str(text).unwrap()
}

#[test]
fn a_single_node_service_runs_the_upstream_preset() {
    let (Some(presets), Some(samples)) = (upstream_presets(), shared("samples/llmisvc")) else { return };
    let sample = samples.join("llm-inference-service-qwen2-7b-gpu.yaml");
    let mut service = service(&std::fs::read_to_string(sample).unwrap());
    service.metadata.namespace = Some("models".to_owned());
    let effective =
        combine(&service, &presets, &Installation::default(), &ClusterSettings::default()).unwrap();
    let template = effective.spec.workload.template.unwrap();
    let [main] = template.containers.as_slice() else { panic!("{:?}", template.containers) };
    let command = main.command.as_ref().unwrap();
    assert!(
        command
            .iter()
            .any(|it| it.contains("--served-model-name") && it.contains("publishers/models/models/"))
    );
    assert!(command.iter().all(|it| !template::is_template(it)));
    assert_eq!(
        main.liveness_probe.as_ref().unwrap().http_get.as_ref().unwrap().scheme.as_deref(),
        Some("HTTPS")
    );
    let scheduler = effective.spec.router.unwrap().scheduler.unwrap().template.unwrap();
    assert_eq!(scheduler.service_account_name.as_deref(), Some("qwen2-7b-instruct-single-epp-sa"));
    assert!(scheduler.containers[0].command.as_ref().unwrap().iter().all(|it| !it.is_empty()));
    let names: Vec<_> = effective.applied.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(
        names,
        ["kserve-config-llm-scheduler", "kserve-config-llm-router-route", "kserve-config-llm-template"]
    );
}
