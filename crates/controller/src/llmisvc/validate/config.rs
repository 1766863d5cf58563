//! Rules for an `LLMInferenceServiceConfig`: what it may hold, that it renders, and who may take it away.

use std::sync::Arc;

use llmd_api::meta::ALLOW_CONFIG_DELETION;
use llmd_api::serving::v1alpha2::{LLMInferenceService, LLMInferenceServiceConfig};
use serde_json::json;

use super::{FieldError, Verdict, scheduler};
use crate::llmisvc::combine::presets::WELL_KNOWN;
use crate::llmisvc::combine::{CombineError, ConfigSource, combine};
use crate::settings::{ClusterSettings, Installation};

/// Checks `config`, and warns when an update changes what services of the whole installation use.
#[must_use]
pub fn validate_config(
    config: &LLMInferenceServiceConfig,
    old: Option<&LLMInferenceServiceConfig>,
    installation: &Installation,
    settings: &ClusterSettings,
) -> Verdict {
    let mut verdict = Verdict::default();
    let spec = &config.spec.0;
    if !spec.base_refs.is_empty() {
        verdict.error(FieldError::forbidden(
            "spec.baseRefs",
            "configs do not build on each other: name all of them in the service's baseRefs",
        ));
    }
    if let Some(scheduler) = spec.router.as_ref().and_then(|it| it.scheduler.as_ref()) {
        scheduler::check_replicas(scheduler, &mut verdict);
    }
    if verdict.is_valid()
        && let Err(error) = render_for_sample(config, installation, settings)
    {
        verdict.error(unrenderable(&error));
    }
    if old.is_some_and(|it| it.spec != config.spec) && is_well_known(name(config), installation) {
        verdict.warn(format!(
            "{} is a preset of the installation: services that use it will change, and an upgrade may overwrite it",
            name(config)
        ));
    }
    verdict
}

/// Whether the config `namespace`/`name` may be deleted: the installation's presets may not where `protect` is set.
#[must_use]
pub fn validate_config_deletion(
    namespace: &str,
    name: &str,
    installation: &Installation,
    protect: bool,
) -> Verdict {
    let mut verdict = Verdict::default();
    if namespace != installation.system_namespace || !is_well_known(name, installation) {
        return verdict;
    }
    if protect {
        verdict.error(FieldError::forbidden(
            "metadata.name",
            format!(
                "{name} is a preset of the installation and services may need it: to delete it nevertheless, annotate \
                 it with {ALLOW_CONFIG_DELETION}=true"
            ),
        ));
    } else {
        verdict
            .warn(format!("{name} is a preset of the installation: services that need it will not be ready"));
    }
    verdict
}

fn name(config: &LLMInferenceServiceConfig) -> &str {
    config.metadata.name.as_deref().unwrap_or_default()
}

fn is_well_known(name: &str, installation: &Installation) -> bool {
    name.strip_prefix(&installation.config_prefix).is_some_and(|it| WELL_KNOWN.contains(&it))
}

/// The one config under test; every other name is an empty config, so only this one can fail.
struct Only(Arc<LLMInferenceServiceConfig>);

impl ConfigSource for Only {
    fn get(&self, _namespace: &str, name: &str) -> Option<Arc<LLMInferenceServiceConfig>> {
        let this = self.0.metadata.name.as_deref() == Some(name);
        Some(if this { Arc::clone(&self.0) } else { Arc::default() })
    }
}

fn render_for_sample(
    config: &LLMInferenceServiceConfig,
    installation: &Installation,
    settings: &ClusterSettings,
) -> Result<(), CombineError> {
    let mut config = config.clone();
    // A config that is created by generateName has no name yet.
    let name = config.metadata.name.get_or_insert_with(|| "config-under-test".to_owned()).clone();
    combine(&sample(&name), &Only(Arc::new(config)), installation, settings).map(drop)
}

/// A service that uses every section a template can read.
fn sample(config: &str) -> LLMInferenceService {
    serde_json::from_value(json!({
        "metadata": {"name": "test-llm-preset", "namespace": "test-llm-preset-test"},
        "spec": {
            "model": {"uri": "hf://meta-llama/llama", "name": "llama"},
            "parallelism": {"data": 4, "dataLocal": 2, "tensor": 1, "expert": true},
            "template": {"containers": []},
            "worker": {"containers": []},
            "prefill": {
                "parallelism": {"tensor": 1, "pipeline": 1},
                "template": {"containers": []},
            },
            "router": {
                "route": {"http": {"refs": [{"name": "custom-route"}]}},
                "gateway": {"refs": [{"name": "custom-gateway", "namespace": "custom-gateway-test"}]},
                "scheduler": {"pool": {"ref": {"name": "custom-inference-pool"}}},
            },
            "baseRefs": [{"name": config}],
        },
    }))
    .expect("the sample is a service")
}

fn unrenderable(error: &CombineError) -> FieldError {
    let path = match error {
        CombineError::Template { path, .. } | CombineError::Merge { path, .. }
            if path.starts_with("spec") =>
        {
            path.clone()
        }
        _ => "spec".to_owned(),
    };
    FieldError::invalid(path, "config", format!("it cannot be rendered for a sample service: {error}"))
}

#[cfg(test)]
mod tests;
