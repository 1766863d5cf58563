//! The names under which models are asked for: plain, and qualified by the namespace that publishes them.

use std::collections::BTreeSet;

use llmd_api::serving::v1alpha2::{LLMInferenceService, ModelSpec};

use crate::llmisvc::service::Service;

/// The name that no other namespace can claim: `publishers/<namespace>/models/<model>`.
#[must_use]
pub fn qualified(namespace: &str, model: &str) -> String {
    format!("publishers/{namespace}/models/{model}")
}

/// Names of the LoRA adapters, sorted.
#[must_use]
pub fn adapters(model: Option<&ModelSpec>) -> BTreeSet<&str> {
    let adapters = model.and_then(|it| it.lora.as_ref()).into_iter().flat_map(|it| &it.adapters);
    adapters.filter_map(|it| it.name.as_deref()).filter(|it| !it.is_empty()).collect()
}

/// Plain names of the service's models: the base model and its adapters.
#[must_use]
pub fn served(service: &Service) -> BTreeSet<String> {
    named_in(&service.name, service.spec.model.as_ref())
}

/// Plain names in the section `model` of the service `name`: the base model, which may go by the service's name, and
/// its adapters.
#[must_use]
pub fn named_in(name: &str, model: Option<&ModelSpec>) -> BTreeSet<String> {
    let base = model.and_then(|it| it.name.as_deref()).filter(|it| !it.is_empty()).unwrap_or(name);
    adapters(model).into_iter().chain([base]).map(str::to_owned).collect()
}

/// Plain names that another service says it serves: by its addresses, or by its spec before it has any.
#[must_use]
pub fn advertised(object: &LLMInferenceService) -> BTreeSet<String> {
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let prefix = qualified(namespace, "");
    let addresses = object.status.iter().flat_map(|it| &it.addresses);
    let announced: BTreeSet<String> = addresses
        .flat_map(|it| &it.models)
        .map(|it| it.name.strip_prefix(&prefix).unwrap_or(&it.name).to_owned())
        .collect();
    if !announced.is_empty() {
        return announced;
    }
    named_in(object.metadata.name.as_deref().unwrap_or_default(), object.spec.model.as_ref())
}
