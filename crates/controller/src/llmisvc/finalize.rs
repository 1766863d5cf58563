//! The end of a service: what is outside its owner tree goes before the service does.
//!
//! A member of a routing group stays until no other member's route sends requests to it.

use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use llmd_api::meta::{self, SERVICE_FINALIZER};
use llmd_api::serving::conditions as types;
use llmd_api::serving::v1alpha2::LLMInferenceService;
use serde_json::json;

use super::facts::routing::RoutingSource;
use super::reconcile::{Error, now};
use super::section::SectionError;
use super::write_status::write_status;
use crate::context::Context;
use crate::index::Key;
use crate::names::Names;

/// How far the end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finalized {
    /// Nothing of this controller holds the service any more.
    Gone,
    /// Other members of the group still send requests to it.
    Waiting,
}

/// Puts the finalizer on the service unless it is there.
///
/// # Errors
/// When the service cannot be written.
pub async fn ensure(context: &Context, key: &Key, object: &LLMInferenceService) -> Result<(), Error> {
    if object.finalizers().iter().any(|it| it == SERVICE_FINALIZER) {
        return Ok(());
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
    if let Some(peer) = peer_with_requests(context, key, object) {
        report_waiting(context, key, object, &peer).await?;
        return Ok(Finalized::Waiting);
    }
    remove_auth_bindings(context, key).await.map_err(|source| error("bindings", source))?;
    let others = object.finalizers().iter().map(String::as_str).filter(|it| *it != SERVICE_FINALIZER);
    set_finalizers(context, key, object, others.collect()).await?;
    Ok(Finalized::Gone)
}

fn error(what: &'static str, source: kube::Error) -> Error {
    Error::Service { what, source: Box::new(source) }
}

async fn set_finalizers(
    context: &Context,
    key: &Key,
    object: &LLMInferenceService,
    finalizers: Vec<&str>,
) -> Result<(), Error> {
    let api: Api<LLMInferenceService> = Api::namespaced(context.client.clone(), &key.namespace);
    let patch = json!({"metadata": {
        "resourceVersion": object.metadata.resource_version,
        "finalizers": finalizers,
    }});
    match api.patch_metadata(&key.name, &PatchParams::default(), &Patch::Merge(patch)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(source) => Err(error("finalizer", source)),
    }
}

/// A live member of the service's group whose route still names the service's pool or Service.
fn peer_with_requests(context: &Context, key: &Key, object: &LLMInferenceService) -> Option<String> {
    let group = object.labels().get(meta::ROUTING_GROUP)?;
    let names = Names::new(&key.namespace, &key.name);
    let backends = [names.pool(), names.workload_service()];
    let members = context.caches.services.in_namespace(&key.namespace).into_iter().filter(|it| {
        it.name_any() != key.name
            && it.metadata.deletion_timestamp.is_none()
            && it.labels().get(meta::ROUTING_GROUP) == Some(group)
    });
    members.map(|it| it.name_any()).find(|peer| {
        let route = context.caches.route(&key.namespace, &Names::new(&key.namespace, peer).route());
        let rules = route.as_deref().into_iter().flat_map(|it| &it.spec.rules);
        rules.flat_map(|it| &it.backend_refs).any(|it| backends.contains(&it.object.name))
    })
}

async fn report_waiting(
    context: &Context,
    key: &Key,
    object: &LLMInferenceService,
    peer: &str,
) -> Result<(), Error> {
    let message = format!("LLMInferenceService {peer} of the same routing group still sends requests here");
    let failure = SectionError::new(types::GROUP_READY, "FinalizationPending", message);
    let previous = object.status.clone().unwrap_or_default();
    let generation = object.metadata.generation.unwrap_or_default();
    let next = super::status::not_combined(generation, &failure, &previous, &now());
    write_status(context, key, object, &next).await.map(drop)
}

/// Removes the cluster-wide bindings of the service's endpoint picker: this controller's and the one that KServe's
/// controller may have left.
///
/// # Errors
/// When the API server refuses or cannot be reached.
pub async fn remove_auth_bindings(context: &Context, key: &Key) -> kube::Result<()> {
    let names = Names::new(&key.namespace, &key.name);
    remove_binding(context, key, &names.auth_binding()).await?;
    remove_binding(context, key, &names.legacy_auth_binding()).await
}

/// Removes the binding `name` if it binds an account of this service: KServe's name can be another service's.
pub async fn remove_binding(context: &Context, key: &Key, name: &str) -> kube::Result<()> {
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
