//! Warnings that need knowledge of the cluster: what the reconciler would report, told to whoever writes the
//! service while they look. They never forbid, because the missing part may come later.

use std::collections::BTreeSet;
use std::sync::Arc;

use llmd_api::serving::v1alpha2::{LLMInferenceService, LLMInferenceServiceSpec};

use crate::apis::Apis;
use crate::llmisvc::combine::{ConfigSource, combine};
use crate::llmisvc::facts::routing::{self, RoutingSource};
use crate::llmisvc::facts::{Facts, routing::RoutingFacts};
use crate::llmisvc::render::router;
use crate::llmisvc::render::router::models;
use crate::llmisvc::render::workload::{Workload, engine};
use crate::llmisvc::service::Service;
use crate::settings::{ClusterSettings, Installation};

/// The cluster around a service, as the caches show it.
#[expect(missing_debug_implementations, reason = "the sources are caches of the process")]
#[derive(Clone)]
pub struct Surroundings<'a> {
    pub configs: &'a dyn ConfigSource,
    pub routing: &'a dyn RoutingSource,
    pub installation: Arc<Installation>,
    pub settings: Arc<ClusterSettings>,
    pub apis: Apis,
}

/// Warnings for whoever writes `service`, which is valid by itself.
#[must_use]
pub fn advise(service: &LLMInferenceService, around: &Surroundings<'_>) -> Vec<String> {
    let effective = combine(service, around.configs, &around.installation, &around.settings);
    let mut warnings = match effective {
        Err(error) => vec![format!("{error}: the service will not be ready before this is mended")],
        Ok(effective) => problems(service, effective.spec, around),
    };
    warnings.extend(collisions(service, around.routing));
    warnings
}

/// What keeps requests from reaching the service: gateways and routes that do not exist, limits of a route, what the
/// engine does not do.
fn problems(
    object: &LLMInferenceService,
    spec: LLMInferenceServiceSpec,
    around: &Surroundings<'_>,
) -> Vec<String> {
    let text = |it: &Option<String>| it.clone().unwrap_or_default();
    let (namespace, name) = (text(&object.metadata.namespace), text(&object.metadata.name));
    let routing: RoutingFacts = routing::gather(&namespace, &name, &spec, around.routing);
    let facts = Facts { apis: around.apis.clone(), routing, ..Facts::default() };
    let (installation, settings) = (Arc::clone(&around.installation), Arc::clone(&around.settings));
    let service = Service::new(object, spec, installation, settings, facts);
    let routing = router::check::check(&service).into_iter().map(|it| it.message);
    routing.chain(Workload::all(&service).filter_map(|it| engine::unsupported(&it))).collect()
}

/// Clients choose by model name, so two services of one name share its requests by chance.
fn collisions(service: &LLMInferenceService, routing: &dyn RoutingSource) -> Vec<String> {
    // The address of an earlier generation says nothing about the names that are asked for now.
    let own = models::advertised(&LLMInferenceService { status: None, ..service.clone() });
    let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
    let mut warnings = Vec::new();
    for peer in routing.services(namespace).into_iter().filter(|it| are_rivals(service, it)) {
        let peer_name = peer.metadata.name.as_deref().unwrap_or_default();
        let theirs: BTreeSet<String> = models::advertised(&peer);
        for model in theirs.intersection(&own) {
            warnings.push(format!(
                "model name {model:?} is also served by LLMInferenceService {peer_name:?}: give spec.model.name \
                 another value, or put both into one routing group"
            ));
        }
    }
    warnings
}

/// Members of one group share their model names on purpose.
fn are_rivals(service: &LLMInferenceService, peer: &LLMInferenceService) -> bool {
    let others = peer.metadata.name != service.metadata.name;
    let grouped = group(peer).is_some() && group(peer) == group(service);
    others && !grouped && peer.metadata.deletion_timestamp.is_none()
}

fn group(service: &LLMInferenceService) -> Option<&str> {
    let route = service.spec.router.as_ref()?.route.as_ref()?;
    route.group.as_deref().filter(|it| !it.is_empty())
}

#[cfg(test)]
mod tests;
