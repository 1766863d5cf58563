//! The surroundings of one service: its facts, and what has to wake it when it changes.

use std::collections::BTreeSet;

use kube::ResourceExt;
use llmd_api::serving::v1alpha2::{LLMInferenceService, LLMInferenceServiceSpec};

use super::combine::Effective;
use super::facts::routing::RoutingSource;
use super::facts::{Facts, accounts, routing, scheduler, storage};
use crate::context::Context;
use crate::index::{Key, Reference};
use crate::settings::{ClusterSettings, Installation};

/// Reads what the objects of the service depend on.
///
/// # Errors
/// When the API server cannot be asked; what does not exist is a fact.
pub async fn gather(
    context: &Context,
    key: &Key,
    object: &LLMInferenceService,
    spec: &LLMInferenceServiceSpec,
) -> kube::Result<Facts> {
    let Key { namespace, name } = key;
    let client = &context.client;
    let installation = &context.installation;
    let settings = context.caches.settings.load_full();
    let accounts = accounts::gather(client.clone(), namespace, spec).await?;
    // Which Secrets count is known only now; one that changes while it is read wakes the service again.
    let secrets = storage::named_secrets(object.annotations(), &accounts, &settings);
    let secrets = secrets.into_iter().map(|it| Reference::Secret(Key::new(namespace, it)));
    context.caches.index.extend(key, secrets.collect());
    let storage =
        storage::gather(client, namespace, object.annotations(), &accounts, installation, &settings).await?;
    Ok(Facts {
        apis: (*context.caches.apis.load_full()).clone(),
        live: context.caches.live.of(key),
        accounts,
        storage,
        scheduler: scheduler::gather(client, namespace, name, spec, installation).await?,
        routing: routing::gather(namespace, name, spec, &context.caches),
        ..Facts::default()
    })
}

/// What the service depends on besides its own objects. Missing objects count: they wake it when they appear. Without
/// an effective spec any config may be the one that is missing or wrong.
#[must_use]
pub fn references(
    object: &LLMInferenceService,
    effective: Option<&Effective>,
    installation: &Installation,
    settings: &ClusterSettings,
    source: &dyn RoutingSource,
) -> BTreeSet<Reference> {
    let namespace = object.namespace().unwrap_or_default();
    let mut names: BTreeSet<String> = object.spec.base_refs.iter().map(|it| it.name.clone()).collect();
    names.extend(object.status.iter().flat_map(|it| &it.applied_configs).map(|it| it.name.clone()));
    names.extend(effective.iter().flat_map(|it| &it.applied).map(|it| it.name.clone()));
    let places = [namespace.as_str(), &installation.system_namespace];
    let configs = names.iter().flat_map(|name| places.map(|it| Reference::Config(Key::new(it, name))));
    let mut references: BTreeSet<_> = configs.collect();
    if effective.is_none() {
        references.insert(Reference::AnyConfig);
    }
    let spec = effective.map_or(&object.spec, |it| &it.spec);
    references.extend(routing_references(&namespace, spec, source));
    let mut accounts = accounts::named_in(spec);
    accounts.insert(accounts::DEFAULT.to_owned());
    references.extend(accounts.into_iter().map(|it| Reference::ServiceAccount(Key::new(&namespace, it))));
    let ca_bundle = &settings.storage_initializer.ca_bundle_config_map_name;
    if !ca_bundle.is_empty() {
        references.insert(Reference::ConfigMap(Key::new(&installation.system_namespace, ca_bundle)));
    }
    references.extend(
        scheduler::referenced_config_map(&namespace, spec, installation)
            .map(|(namespace, name)| Reference::ConfigMap(Key::new(namespace, name))),
    );
    references
}

/// Gateways with their classes, routes, pools and the group that the effective spec names.
fn routing_references(
    namespace: &str,
    spec: &LLMInferenceServiceSpec,
    source: &dyn RoutingSource,
) -> BTreeSet<Reference> {
    let Some(router) = &spec.router else { return BTreeSet::new() };
    let route = router.route.as_ref();
    let http = route.and_then(|it| it.http.as_ref());
    let gateways = routing::gateway_keys(namespace, spec, source);
    let classes = gateways.iter().filter_map(|(namespace, name)| source.gateway(namespace, name));
    let classes: Vec<_> =
        classes.map(|it| Reference::GatewayClass(it.spec.gateway_class_name.clone())).collect();
    let gateways =
        gateways.into_iter().map(|(namespace, name)| Reference::Gateway(Key::new(namespace, name)));
    let routes =
        http.into_iter().flat_map(|it| &it.refs).map(|it| Reference::Route(Key::new(namespace, &it.name)));
    let pool = routing::pool_reference(spec).map(|it| Reference::Pool(Key::new(namespace, it)));
    let group = route.and_then(|it| it.group.as_ref()).map(|it| Reference::Group(Key::new(namespace, it)));
    gateways.chain(classes).chain(routes).chain(pool).chain(group).collect()
}

#[cfg(test)]
mod tests;
