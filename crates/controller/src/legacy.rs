//! What earlier releases of KServe's controller left in the cluster and nothing reads any more: their autoscaling
//! objects `variantautoscalings.llmd.ai`, which became annotations.
//!
//! Removed when this process starts to lead, as well as it goes: a failure is logged and keeps nothing from working.

use std::time::Duration;

use kube::api::{DeleteParams, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind, PartialObjectMeta};
use kube::{Api, Client, ResourceExt};
use llmd_api::meta;
use llmd_common::report::Report;

/// Group, version, kind and plural of the objects.
pub const AUTOSCALINGS: [&str; 4] = ["llmd.ai", "v1alpha1", "VariantAutoscaling", "variantautoscalings"];

/// Objects read at a time.
const PAGE: u32 = 200;
/// Time for all of them; the next leader goes on.
const DEADLINE: Duration = Duration::from_secs(600);

/// Removes the objects that carry the label of services.
pub async fn clean_up(client: Client) {
    match tokio::time::timeout(DEADLINE, delete_all(client)).await {
        Ok(Ok(0)) => {}
        Ok(Ok(n_objects)) => tracing::info!(objects = n_objects, "legacy variantautoscalings are removed"),
        Ok(Err(error)) => {
            tracing::warn!(error = %Report(&error), "legacy variantautoscalings may be left");
        }
        Err(_) => tracing::warn!("legacy variantautoscalings may be left: removing them took too long"),
    }
}

/// The number of removed objects; none where the kind is not served.
async fn delete_all(client: Client) -> kube::Result<usize> {
    let [group, version, kind, plural] = AUTOSCALINGS;
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
    let all: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(client.clone(), &resource);
    let mut page =
        ListParams::default().labels(&format!("{}={}", meta::PART_OF, meta::PART_OF_VALUE)).limit(PAGE);
    let mut n_objects = 0;
    loop {
        let list = match all.list(&page).await {
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(n_objects),
            list => list?,
        };
        for object in &list.items {
            let namespace = object.namespace().unwrap_or_default();
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &resource);
            match api.delete(&object.name_any(), &DeleteParams::default()).await {
                Ok(_) => n_objects += 1,
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
                Err(error) => return Err(error),
            }
        }
        match list.metadata.continue_.filter(|it| !it.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(n_objects),
        }
    }
}
