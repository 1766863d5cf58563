//! The end of a service: what is outside its owner tree goes before the service does.
//!
//! A member of a routing group stays until no other member's route sends requests to it.

use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use llmd_api::meta::{self, SERVICE_FINALIZER};
use llmd_api::serving::v1alpha2::{LLMInferenceService, LLMInferenceServiceSpec};
use serde_json::json;

use super::facts::routing;
use super::reconcile::{Error, now};
use super::render::router::group;
use super::status::awaiting_group;
use super::write_status::write_status;
use crate::context::Context;
use crate::index::Key;
use crate::names::Names;

/// How far the end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finalized {
    /// Nothing of this controller holds the service any more.
    Gone,
    /// The finalizer holds the service.
    Held,
    /// Other members of the group still send requests to it.
    Waiting,
}

/// Puts the finalizer on the service unless it is there. A service that is gone meanwhile stays so: nothing may be
/// created that only its end would remove.
///
/// # Errors
/// When the service cannot be written.
pub async fn ensure(context: &Context, key: &Key, object: &LLMInferenceService) -> Result<Finalized, Error> {
    if object.finalizers().iter().any(|it| it == SERVICE_FINALIZER) {
        return Ok(Finalized::Held);
    }
    let all = object.finalizers().iter().map(String::as_str).chain([SERVICE_FINALIZER]);
    set_finalizers(context, key, object, all.collect()).await
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
    remove_auth_bindings(context, key).await.map_err(|source| error("bindings", source))?;
    let others = object.finalizers().iter().map(String::as_str).filter(|it| *it != SERVICE_FINALIZER);
    set_finalizers(context, key, object, others.collect()).await?;
    Ok(Finalized::Gone)
}

fn error(what: &'static str, source: kube::Error) -> Error {
    Error::Service { what, source: source.into() }
}

async fn set_finalizers(
    context: &Context,
    key: &Key,
    object: &LLMInferenceService,
    finalizers: Vec<&str>,
) -> Result<Finalized, Error> {
    let api: Api<LLMInferenceService> = Api::namespaced(context.client.clone(), &key.namespace);
    let patch = json!({"metadata": {
        "resourceVersion": object.metadata.resource_version,
        "finalizers": finalizers,
    }});
    match api.patch_metadata(&key.name, &PatchParams::default(), &Patch::Merge(patch)).await {
        Ok(_) => Ok(Finalized::Held),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Finalized::Gone),
        Err(source) => Err(error("finalizer", source)),
    }
}

/// Peers whose routes still send requests to the service.
fn awaited(context: &Context, key: &Key, object: &LLMInferenceService) -> Vec<String> {
    let no_spec = LLMInferenceServiceSpec::default();
    let surroundings = routing::gather(&key.namespace, &key.name, &no_spec, &context.caches);
    if group::group_of(object).is_none() {
        return Vec::new();
    }
    group::awaited(object, surroundings.peers.values())
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

/// Removes the cluster-wide bindings of the service's endpoint picker: this controller's and the one that KServe's
/// controller may have left.
///
/// # Errors
/// When the API server refuses or cannot be reached.
async fn remove_auth_bindings(context: &Context, key: &Key) -> kube::Result<()> {
    let names = Names::new(&key.namespace, &key.name);
    remove_binding(context, key, &names.auth_binding()).await?;
    remove_binding(context, key, &names.legacy_auth_binding()).await
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
