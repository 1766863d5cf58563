//! Writing to the objects that users write: status and finalizers of services and configs.
//!
//! Every write names the version that it was computed from, and returns what the API server made of it, for the caches.

use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, NamespaceResourceScope};
use kube::{Client, Resource};
use serde::Serialize;
use serde_json::json;

use crate::watch::objects::Cached;
use crate::watch::parse;

/// Attempts when somebody else writes the object at the same time.
const ATTEMPTS: usize = 5;

/// An object as a write left it.
#[derive(Debug)]
pub struct Written<K> {
    pub object: K,
    /// It holds changes of somebody else since the version that the write was computed from.
    pub is_overtaken: bool,
}

/// Replaces the status of `object` as a whole. `None` when the object is gone, or kept changing meanwhile.
///
/// # Errors
/// When the API server refuses or cannot be reached.
pub async fn replace_status<K>(
    client: &Client,
    object: &K,
    status: &(impl Serialize + Sync),
) -> kube::Result<Option<Written<K>>>
where
    K: Cached + Resource<Scope = NamespaceResourceScope>,
{
    let metadata = object.meta();
    let name = metadata.name.clone().unwrap_or_default();
    let namespace = metadata.namespace.clone().unwrap_or_default();
    let resource = ApiResource::erase::<K>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &resource);
    let mut body = DynamicObject::new(&name, &resource).within(&namespace);
    body.metadata.uid.clone_from(&metadata.uid);
    body.metadata.resource_version.clone_from(&metadata.resource_version);
    // The API server takes nothing but the status from this request.
    body.data = json!({"status": status});
    for attempt in 0..ATTEMPTS {
        match api.replace_status(&name, &PostParams::default(), &body).await {
            Ok(written) => {
                return Ok(parse(written).map(|object| Written { object, is_overtaken: attempt > 0 }));
            }
            Err(kube::Error::Api(reply)) if reply.code == 404 => return Ok(None),
            Err(kube::Error::Api(reply)) if reply.code == 409 => {
                let Some(latest) = api.get_metadata_opt(&name).await? else { return Ok(None) };
                if latest.metadata.uid != metadata.uid {
                    return Ok(None);
                }
                body.metadata.resource_version = latest.metadata.resource_version;
            }
            Err(source) => return Err(source),
        }
    }
    Ok(None)
}

/// Replaces the finalizers of `object`. `None` when it is gone.
///
/// # Errors
/// When the API server refuses, also because the object has changed, or cannot be reached.
pub async fn set_finalizers<K>(
    client: &Client,
    object: &K,
    finalizers: &[&str],
) -> kube::Result<Option<Written<K>>>
where
    K: Cached + Resource<Scope = NamespaceResourceScope>,
{
    let metadata = object.meta();
    let name = metadata.name.as_deref().unwrap_or_default();
    let api: Api<K> = Api::namespaced(client.clone(), metadata.namespace.as_deref().unwrap_or_default());
    let patch = json!({"metadata": {
        "resourceVersion": metadata.resource_version,
        "finalizers": finalizers,
    }});
    match api.patch_metadata(name, &PatchParams::default(), &Patch::Merge(patch)).await {
        Ok(patched) => {
            let mut object = object.clone();
            *object.meta_mut() = patched.metadata;
            Ok(Some(Written { object, is_overtaken: false }))
        }
        Err(kube::Error::Api(reply)) if reply.code == 404 => Ok(None),
        Err(source) => Err(source),
    }
}

#[cfg(test)]
mod tests;
