use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use llmd_api::serving::status::LLMInferenceServiceStatus;
use llmd_api::serving::v1alpha2::LLMInferenceService;
use serde_json::Value;

use super::*;
use crate::testing;

const OBJECT: &str = "/apis/serving.kserve.io/v1alpha2/namespaces/team/llminferenceservices/chat";
const STATUS: &str = "/apis/serving.kserve.io/v1alpha2/namespaces/team/llminferenceservices/chat/status";

fn service(uid: &str, version: &str) -> Value {
    json!({
        "apiVersion": "serving.kserve.io/v1alpha2",
        "kind": "LLMInferenceService",
        "metadata": {"namespace": "team", "name": "chat", "uid": uid, "resourceVersion": version},
        "spec": {},
    })
}

/// The API server's refusal.
fn refusal(code: u16) -> Response {
    let status =
        json!({"kind": "Status", "status": "Failure", "code": code, "message": "no", "reason": "No"});
    (StatusCode::from_u16(code).unwrap(), Json(status)).into_response()
}

/// An API server whose object has version 9 and this uid, and which counts the writes of the status.
fn api_server(uid: &'static str, writes: &Arc<AtomicUsize>) -> Router {
    let writes = Arc::clone(writes);
    let write = move |Json(body): Json<Value>| async move {
        writes.fetch_add(1, Ordering::Relaxed);
        if body["metadata"]["resourceVersion"] != "9" {
            return refusal(409);
        }
        let mut written = service(uid, "10");
        written["status"] = body["status"].clone();
        Json(written).into_response()
    };
    let metadata = move || async move { Json(service(uid, "9")) };
    Router::new().route(STATUS, put(write)).route(OBJECT, get(metadata))
}

async fn write(uid: &'static str, version: &str) -> (Option<Written<LLMInferenceService>>, usize) {
    let writes = Arc::default();
    let client = testing::client(api_server(uid, &writes));
    let object: LLMInferenceService = serde_json::from_value(service("1", version)).unwrap();
    let status = LLMInferenceServiceStatus { url: Some("http://chat".to_owned()), ..Default::default() };
    let written = replace_status(&client, &object, &status).await.unwrap();
    (written, writes.load(Ordering::Relaxed))
}

#[tokio::test]
async fn a_status_of_the_latest_version_is_one_write() {
    let (written, writes) = Box::pin(write("1", "9")).await;
    let written = written.unwrap();
    assert!(!written.is_overtaken);
    assert_eq!(written.object.metadata.resource_version.as_deref(), Some("10"));
    assert_eq!(written.object.status.unwrap().url.as_deref(), Some("http://chat"));
    assert_eq!(writes, 1);
}

#[tokio::test]
async fn a_status_of_an_older_version_is_written_and_told_to_be_overtaken() {
    let (written, writes) = Box::pin(write("1", "8")).await;
    assert!(written.unwrap().is_overtaken);
    assert_eq!(writes, 2);
}

#[tokio::test]
async fn another_object_of_the_same_name_does_not_get_the_status() {
    let (written, writes) = Box::pin(write("2", "8")).await;
    assert!(written.is_none());
    assert_eq!(writes, 1);
}

#[tokio::test]
async fn a_service_that_is_gone_is_no_error() {
    let client = testing::client(Router::new().fallback(|| async { refusal(404) }));
    let object: LLMInferenceService = serde_json::from_value(service("1", "9")).unwrap();
    assert!(replace_status(&client, &object, &json!({})).await.unwrap().is_none());
    assert!(set_finalizers(&client, &object, &["it"]).await.unwrap().is_none());
}
