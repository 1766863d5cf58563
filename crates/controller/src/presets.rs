//! Configs as files: the presets that this program ships, and folders of the user's.
//!
//! The controller finds configs in the cluster. This set stands in for it on the command line, and the chart
//! installs the same files.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use llmd_api::serving::v1alpha2::LLMInferenceServiceConfig;

use crate::llmisvc::combine::ConfigSource;

/// The shipped presets as YAML, by file name.
pub const SHIPPED: [(&str, &str); 16] = [
    ("config-llm-template.yaml", include_str!("../presets/config-llm-template.yaml")),
    ("config-llm-decode-template.yaml", include_str!("../presets/config-llm-decode-template.yaml")),
    ("config-llm-prefill-template.yaml", include_str!("../presets/config-llm-prefill-template.yaml")),
    ("config-llm-worker-data-parallel.yaml", include_str!("../presets/config-llm-worker-data-parallel.yaml")),
    (
        "config-llm-decode-worker-data-parallel.yaml",
        include_str!("../presets/config-llm-decode-worker-data-parallel.yaml"),
    ),
    (
        "config-llm-prefill-worker-data-parallel.yaml",
        include_str!("../presets/config-llm-prefill-worker-data-parallel.yaml"),
    ),
    (
        "config-llm-worker-pipeline-parallel.yaml",
        include_str!("../presets/config-llm-worker-pipeline-parallel.yaml"),
    ),
    (
        "config-llm-decode-worker-pipeline-parallel.yaml",
        include_str!("../presets/config-llm-decode-worker-pipeline-parallel.yaml"),
    ),
    (
        "config-llm-prefill-worker-pipeline-parallel.yaml",
        include_str!("../presets/config-llm-prefill-worker-pipeline-parallel.yaml"),
    ),
    ("config-llm-scheduler.yaml", include_str!("../presets/config-llm-scheduler.yaml")),
    ("config-llm-tokenizer.yaml", include_str!("../presets/config-llm-tokenizer.yaml")),
    ("config-llm-router-route.yaml", include_str!("../presets/config-llm-router-route.yaml")),
    ("config-llm-tracing.yaml", include_str!("../presets/config-llm-tracing.yaml")),
    ("llmd-engine-vllm.yaml", include_str!("../presets/llmd-engine-vllm.yaml")),
    ("llmd-engine-vllm-disaggregated.yaml", include_str!("../presets/llmd-engine-vllm-disaggregated.yaml")),
    ("llmd-engine-vllm-multi-node.yaml", include_str!("../presets/llmd-engine-vllm-multi-node.yaml")),
];

/// Why a file cannot be used as a config.
#[derive(Debug, thiserror::Error)]
pub enum PresetError {
    /// The folder or one of its files cannot be read.
    #[error("cannot read {path}")]
    Read {
        path: String,
        #[source]
        source: io::Error,
    },
    /// A document is no LLMInferenceServiceConfig.
    #[error("{path} is not a list of LLMInferenceServiceConfigs")]
    Parse {
        path: String,
        #[source]
        source: Box<serde_saphyr::Error>,
    },
}

/// Configs by namespace and name.
#[derive(Debug, Clone, Default)]
pub struct ConfigSet {
    configs: BTreeMap<(String, String), Arc<LLMInferenceServiceConfig>>,
}

impl ConfigSet {
    /// The presets that this program ships, as the chart installs them into the system namespace.
    ///
    /// # Panics
    /// When a shipped preset is no config, which a test rules out.
    #[must_use]
    pub fn shipped(system_namespace: &str) -> Self {
        let mut set = Self::default();
        for (path, text) in SHIPPED {
            set.insert(path, text, system_namespace).expect("a test reads every shipped preset");
        }
        set
    }

    /// Adds the `*.yaml` and `*.yml` files of a folder, in the order of their names; later ones replace earlier
    /// ones of the same name. `namespace` is that of configs which name none.
    ///
    /// # Errors
    /// When the folder or a file cannot be read or holds something else.
    pub fn insert_folder(&mut self, folder: &Path, namespace: &str) -> Result<(), PresetError> {
        let cannot_read = |path: &Path| {
            let path = path.display().to_string();
            move |source| PresetError::Read { path, source }
        };
        let entries = fs::read_dir(folder).map_err(cannot_read(folder))?;
        let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.retain(|path| path.extension().is_some_and(|it| it == "yaml" || it == "yml"));
        paths.sort();
        for path in paths {
            let text = fs::read_to_string(&path).map_err(cannot_read(&path))?;
            self.insert(&path.display().to_string(), &text, namespace)?;
        }
        Ok(())
    }

    /// Adds the documents of one file; `path` is for messages, `namespace` for configs which name none.
    ///
    /// # Errors
    /// When a document is no LLMInferenceServiceConfig.
    pub fn insert(&mut self, path: &str, text: &str, namespace: &str) -> Result<(), PresetError> {
        let configs: Vec<LLMInferenceServiceConfig> = serde_saphyr::from_multiple(text)
            .map_err(|source| PresetError::Parse { path: path.to_owned(), source: Box::new(source) })?;
        for config in configs {
            let namespace = config.metadata.namespace.clone().unwrap_or_else(|| namespace.to_owned());
            let key = (namespace, config.metadata.name.clone().unwrap_or_default());
            self.configs.insert(key, Arc::new(config));
        }
        Ok(())
    }
}

impl ConfigSource for ConfigSet {
    fn get(&self, namespace: &str, name: &str) -> Option<Arc<LLMInferenceServiceConfig>> {
        self.configs.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_file_holds_the_config_it_is_named_after() {
        let set = ConfigSet::shipped("kserve");
        assert_eq!(set.configs.len(), SHIPPED.len());
        for (file, _) in SHIPPED {
            let stem = file.trim_end_matches(".yaml");
            let name =
                if stem.starts_with("config-llm-") { format!("kserve-{stem}") } else { stem.to_owned() };
            assert!(set.get("kserve", &name).is_some(), "{file} holds no {name}");
        }
        let files = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/presets")).unwrap().count();
        assert_eq!(files, SHIPPED.len(), "a preset file is not shipped");
    }
}
