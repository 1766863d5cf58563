//! Combining as a whole.

mod merging;
mod oracle;
mod rendered;
mod selection;

use std::path::{Path, PathBuf};

use super::*;

/// Configs in memory.
#[derive(Default)]
pub(super) struct Configs(BTreeMap<(String, String), Arc<LLMInferenceServiceConfig>>);

impl ConfigSource for Configs {
    fn get(&self, namespace: &str, name: &str) -> Option<Arc<LLMInferenceServiceConfig>> {
        self.0.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }
}

impl Configs {
    pub(super) fn add(&mut self, namespace: &str, text: &str) {
        let config: LLMInferenceServiceConfig = serde_saphyr::from_str(text).unwrap();
        let name = config.metadata.name.clone().unwrap();
        self.0.insert((namespace.to_owned(), name), Arc::new(config));
    }

    /// Every preset, each marked by an annotation.
    fn presets() -> Self {
        let mut configs = Self::default();
        for preset in presets::WELL_KNOWN {
            let spec =
                format!("metadata: {{name: kserve-{preset}}}\nspec: {{annotations: {{{preset}: 'yes'}}}}");
            configs.add("kserve", &spec);
        }
        configs
    }
}

pub(super) fn service(text: &str) -> LLMInferenceService {
    serde_saphyr::from_str(text).unwrap()
}

pub(super) fn run(service: &LLMInferenceService, configs: &Configs) -> Result<Effective, CombineError> {
    combine(service, configs, &Installation::default(), &ClusterSettings::default())
}

fn testdata(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/combine").join(path)
}

fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(path);
    if !path.exists() {
        println!("skipped: {} is absent", path.display());
        return None;
    }
    Some(path)
}

fn upstream_presets() -> Option<Configs> {
    let mut configs = Configs::default();
    for entry in std::fs::read_dir(shared("samples/presets")?).unwrap() {
        configs.add("kserve", &std::fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    Some(configs)
}

fn json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap()
}
