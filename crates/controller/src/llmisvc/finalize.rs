//! The end of a service: what is outside its owner tree goes before the service does.
//!
//! A member of a routing group stays until no other member's route sends requests to it.

use std::sync::Arc;

use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Preconditions};
use llmd_api::meta::{self, SERVICE_FINALIZER};
use llmd_api::serving::v1alpha2::LLMInferenceService;

use super::facts::routing::{self, RoutingSource};
use super::reconcile::{Error, now};
use super::render::router::group;
use super::status::awaiting_group;
use super::write_status::write_status;
use crate::context::Context;
use crate::index::Key;
use crate::names::Names;
use crate::primary;

/// How far the end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finalized {
    /// Nothing of this controller holds the service any more.
    Gone,
    /// Other members of the group still send requests to it.
    Waiting,
}

/// The service with the finalizer, which it gets unless it has it. A service that is gone meanwhile stays so: nothing
/// may be created that only its end would remove.
///
/// # Errors
/// When the service cannot be written.
pub async fn ensure(
    context: &Context,
    object: Arc<LLMInferenceService>,
) -> Result<Option<Arc<LLMInferenceService>>, Error> {
    if object.finalizers().iter().any(|it| it == SERVICE_FINALIZER) {
        return Ok(Some(object));
    }
    let all: Vec<_> = object.finalizers().iter().map(String::as_str).chain([SERVICE_FINALIZER]).collect();
    set_finalizers(context, &object, &all).await
}

/// Ends the service: waits for its group, removes what has no owner, lets go.
///
/// # Errors
/// When something cannot be removed.
pub async fn finalize(
    context: &Context,
    key: &Key,
    object: &LLMInferenceService,
) -> Result<Finalized, Error> {
    if !object.finalizers().iter().any(|it| it == SERVICE_FINALIZER) {
        return Ok(Finalized::Gone);
    }
    let peers = awaited(context, key, object);
    if !peers.is_empty() {
        report_waiting(context, key, object, &peers).await?;
        return Ok(Finalized::Waiting);
    }
    remove_bindings(context, key).await.map_err(|it| Error::Bindings(it.into()))?;
    let others = object.finalizers().iter().map(String::as_str).filter(|it| *it != SERVICE_FINALIZER);
    set_finalizers(context, object, &others.collect::<Vec<_>>()).await?;
    Ok(Finalized::Gone)
}

fn error(what: &'static str, source: kube::Error) -> Error {
    Error::Service { what, source: source.into() }
}

async fn set_finalizers(
    context: &Context,
    object: &LLMInferenceService,
    finalizers: &[&str],
) -> Result<Option<Arc<LLMInferenceService>>, Error> {
    let patched = primary::set_finalizers(&context.client, object, finalizers).await;
    let patched = patched.map_err(|source| error("finalizer", source))?;
    Ok(patched.map(|it| context.caches.service_written(it)))
}

/// Peers whose routes still send requests to the service, also those that have left the group.
fn awaited(context: &Context, key: &Key, object: &LLMInferenceService) -> Vec<String> {
    if group::group_of(object).is_none() {
        return Vec::new();
    }
    let mut services = context.caches.services(&key.namespace);
    services.retain(|it| it.metadata.name != object.metadata.name);
    group::awaited(object, routing::peers(&key.namespace, services, &context.caches).values())
}

async fn report_waiting(
    context: &Context,
    key: &Key,
    object: &LLMInferenceService,
    peers: &[String],
) -> Result<(), Error> {
    let previous = object.status.clone().unwrap_or_default();
    let generation = object.metadata.generation.unwrap_or_default();
    let next = awaiting_group(generation, peers, &previous, &now());
    write_status(context, key, object, &next).await.map(drop)
}

/// Removes the cluster-wide bindings of the service's accounts: this controller's and the one that KServe's controller
/// may have left.
///
/// # Errors
/// When the API server refuses or cannot be reached.
async fn remove_bindings(context: &Context, key: &Key) -> kube::Result<()> {
    let names = Names::new(&key.namespace, &key.name);
    for name in [names.auth_binding(), names.legacy_auth_binding(), names.metrics_binding()] {
        remove_binding(context, key, &name).await?;
    }
    Ok(())
}

/// Removes the binding `name` if it binds an account of this service: KServe's name can be another service's.
async fn remove_binding(context: &Context, key: &Key, name: &str) -> kube::Result<()> {
    let api: Api<ClusterRoleBinding> = Api::all(context.client.clone());
    let Some(binding) = api.get_opt(name).await? else { return Ok(()) };
    let is_named = binding.labels().get(meta::NAME) == Some(&key.name);
    let is_bound =
        binding.subjects.iter().flatten().any(|it| it.namespace.as_deref() == Some(key.namespace.as_str()));
    if !is_named || !is_bound {
        return Ok(());
    }
    let preconditions = Preconditions { uid: binding.uid(), resource_version: None };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    match api.delete(name, &params).await {
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        other => other.map(drop),
    }
}
