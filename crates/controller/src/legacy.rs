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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::extract::{Path, RawQuery, State};
    use axum::http::StatusCode;
    use axum::routing::{delete, get};
    use axum::{Json, Router};
    use parking_lot::Mutex;
    use serde_json::{Value, json};

    use super::*;

    /// What an API server was asked.
    type Asked = Arc<Mutex<Vec<String>>>;

    const ALL: &str = "/apis/llmd.ai/v1alpha1/variantautoscalings";
    const ONE: &str = "/apis/llmd.ai/v1alpha1/namespaces/{namespace}/variantautoscalings/{name}";

    /// Two pages with one object each, of which one is gone when it is to be deleted.
    async fn page(State(asked): State<Asked>, RawQuery(query): RawQuery) -> Json<Value> {
        let query = query.unwrap_or_default();
        let (name, token) = if query.contains("continue=next") { ("gone", "") } else { ("chat", "next") };
        asked.lock().push(query);
        Json(json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList",
            "metadata": {"continue": token},
            "items": [{"metadata": {"name": name, "namespace": "team"}}],
        }))
    }

    async fn remove(
        State(asked): State<Asked>,
        Path((namespace, name)): Path<(String, String)>,
    ) -> (StatusCode, Json<Value>) {
        let is_there = name != "gone";
        asked.lock().push(format!("delete {namespace}/{name}"));
        let (status, code) = if is_there { ("Success", 200) } else { ("Failure", 404) };
        let body = json!({"apiVersion": "v1", "kind": "Status", "status": status, "code": code, "reason": "NotFound"});
        (StatusCode::from_u16(code).unwrap(), Json(body))
    }

    #[tokio::test]
    async fn every_page_of_labelled_objects_is_removed() {
        let asked = Asked::default();
        let routes =
            Router::new().route(ALL, get(page)).route(ONE, delete(remove)).with_state(Arc::clone(&asked));
        assert_eq!(delete_all(Client::new(routes, "kserve")).await.unwrap(), 1);
        let asked = asked.lock().clone();
        assert_eq!(asked.len(), 4, "{asked:?}");
        assert!(
            asked[0].contains("labelSelector=app.kubernetes.io%2Fpart-of%3Dllminferenceservice"),
            "{asked:?}"
        );
        assert_eq!((asked[1].as_str(), asked[3].as_str()), ("delete team/chat", "delete team/gone"));
    }

    #[tokio::test]
    async fn where_the_kind_is_not_served_nothing_is_left() {
        let missing = || async {
            let body = json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound"});
            (StatusCode::NOT_FOUND, Json(body))
        };
        let routes = Router::new().route(ALL, get(missing));
        assert_eq!(delete_all(Client::new(routes, "kserve")).await.unwrap(), 0);
    }
}
