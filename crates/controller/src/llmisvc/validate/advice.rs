//! Warnings that need knowledge of the cluster. They never forbid: the missing part may come later.

use std::collections::BTreeSet;

use llmd_api::serving::v1alpha2::LLMInferenceService;

/// What of the cluster concerns one service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Presets and baseRefs of the service that exist in neither namespace.
    pub missing_configs: Vec<String>,
    /// The other services of the namespace that are not being deleted.
    pub peers: Vec<Peer>,
    /// LoRA adapters that the service's managed route has room for.
    pub adapter_limit: Option<usize>,
    /// Gateways of the service (`namespace/name`) that do not exist.
    pub missing_gateways: Vec<String>,
}

/// Another service of the same namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peer {
    pub name: String,
    /// Members of one group share their model names on purpose.
    pub group: Option<String>,
    /// Base model and adapters.
    pub models: Vec<String>,
}

impl Peer {
    /// What others need to know of `service`.
    #[must_use]
    pub fn of(service: &LLMInferenceService) -> Self {
        Self {
            name: service.metadata.name.clone().unwrap_or_default(),
            group: group(service).map(str::to_owned),
            models: model_names(service),
        }
    }
}

/// Warnings for whoever writes `service`.
#[must_use]
pub fn advise(service: &LLMInferenceService, surroundings: &Surroundings) -> Vec<String> {
    let Surroundings { missing_configs, peers, adapter_limit, missing_gateways } = surroundings;
    let mut warnings = Vec::new();
    for config in missing_configs {
        warnings.push(format!(
            "LLMInferenceServiceConfig {config:?} does not exist: the service starts when it does"
        ));
    }
    for gateway in missing_gateways {
        warnings
            .push(format!("Gateway {gateway} does not exist: the service is not reachable until it does"));
    }
    warnings.extend(collisions(service, peers));
    let adapters = adapters(service).count();
    if let Some(limit) = adapter_limit.filter(|&it| adapters > it) {
        warnings.push(format!(
            "spec.model.lora.adapters: the managed HTTPRoute has room for {limit} of {adapters} adapters by header: \
             the others are only reachable by path"
        ));
    }
    warnings
}

/// Clients choose by model name, so two services of one name share its requests by chance.
fn collisions(service: &LLMInferenceService, peers: &[Peer]) -> Vec<String> {
    let own: BTreeSet<String> = model_names(service).into_iter().collect();
    let name = service.metadata.name.as_deref().unwrap_or_default();
    let others = peers
        .iter()
        .filter(|it| it.name != name)
        .filter(|it| it.group.is_none() || it.group.as_deref() != group(service));
    let mut warnings = Vec::new();
    for peer in others {
        for model in peer.models.iter().filter(|it| own.contains(*it)) {
            warnings.push(format!(
                "model name {model:?} is also served by LLMInferenceService {:?}: set spec.model.name, or put both \
                 into one routing group",
                peer.name
            ));
        }
    }
    warnings
}

fn group(service: &LLMInferenceService) -> Option<&str> {
    let route = service.spec.router.as_ref()?.route.as_ref()?;
    route.group.as_deref().filter(|it| !it.is_empty())
}

fn adapters(service: &LLMInferenceService) -> impl Iterator<Item = &str> {
    let lora = service.spec.model.as_ref().and_then(|it| it.lora.as_ref());
    lora.into_iter().flat_map(|it| &it.adapters).filter_map(|it| it.name.as_deref())
}

fn model_names(service: &LLMInferenceService) -> Vec<String> {
    let given = service.spec.model.as_ref().and_then(|it| it.name.as_deref()).filter(|it| !it.is_empty());
    let base = given.or(service.metadata.name.as_deref());
    base.into_iter().chain(adapters(service)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
