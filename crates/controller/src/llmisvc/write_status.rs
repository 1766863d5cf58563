//! Writing a service's status: as a whole, against the version that was read, and only when it differs.

use kube::api::{Api, DynamicObject, PostParams};
use kube::core::ApiResource;
use llmd_api::serving::status::LLMInferenceServiceStatus;
use llmd_api::serving::v1alpha2::LLMInferenceService;
use serde_json::json;

use super::reconcile::Error;
use crate::context::Context;
use crate::index::Key;

/// Attempts when somebody else writes the service at the same time.
const ATTEMPTS: usize = 5;

/// Writes `status` unless the service has it already. Returns whether it was written.
///
/// # Errors
/// When the API server refuses or cannot be reached. A service that is gone is no error.
pub async fn write_status(
    context: &Context,
    key: &Key,
    object: &LLMInferenceService,
    status: &LLMInferenceServiceStatus,
) -> Result<bool, Error> {
    context.metrics.service(key, Some(status));
    if object.status.as_ref() == Some(status) {
        return Ok(false);
    }
    let resource = ApiResource::erase::<LLMInferenceService>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), &key.namespace, &resource);
    let error = |source: kube::Error| Error::Service { what: "status", source: source.into() };
    let mut version = object.metadata.resource_version.clone();
    for _ in 0..ATTEMPTS {
        let mut body = DynamicObject::new(&key.name, &resource).within(&key.namespace);
        body.metadata.uid.clone_from(&object.metadata.uid);
        body.metadata.resource_version = version;
        // The API server takes nothing but the status from this request.
        body.data = json!({"status": status});
        match api.replace_status(&key.name, &PostParams::default(), &body).await {
            Ok(written) => {
                let version = written.metadata.resource_version.unwrap_or_default();
                context.caches.own_writes.record(key.clone(), version);
                return Ok(true);
            }
            Err(kube::Error::Api(reply)) if reply.code == 404 => return Ok(false),
            Err(kube::Error::Api(reply)) if reply.code == 409 => {
                let Some(latest) = api.get_metadata_opt(&key.name).await.map_err(error)? else {
                    return Ok(false);
                };
                version = latest.metadata.resource_version;
            }
            Err(source) => return Err(error(source)),
        }
    }
    // Whoever kept changing the service has woken it again.
    Ok(false)
}
