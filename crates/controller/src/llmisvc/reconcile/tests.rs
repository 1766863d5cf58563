use axum::Router;
use axum::extract::Json;
use axum::routing::put;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::*;
use crate::testing;

fn failure(message: &str) -> SectionError {
    SectionError::new(types::MAIN_WORKLOAD_READY, "ReconcileSingleNodeWorkloadError", message.to_owned())
}

#[test]
fn a_failure_does_not_put_off_the_renewal_of_the_certificate() {
    let renewal = Duration::from_secs(600);
    let done = conclude(&[failure("no gateway")], Outcome::default(), Some(renewal)).unwrap();
    assert_eq!(
        done,
        Done::Failed { reason: "ReconcileSingleNodeWorkloadError", again: Some(Duration::from_secs(600)) }
    );
}

#[test]
fn a_service_whose_object_another_owns_is_looked_at_again() {
    let (kind, name) = (ChildKind::Deployment, "chat-kserve".to_owned());
    let taken = ApplyError::NotControlled { kind, name, service: Key::new("team", "chat") };
    let outcome = Outcome { failures: vec![taken], ..Outcome::default() };
    let done = conclude(&[failure("taken")], outcome, Some(LOOK)).unwrap();
    assert!(matches!(done, Done::Failed { again: Some(REFUSED), .. }), "{done:?}");
}

#[test]
fn a_failure_that_a_condition_tells_of_is_not_new() {
    let told = |message: &str| Condition {
        type_: types::MAIN_WORKLOAD_READY.to_owned(),
        reason: "ReconcileSingleNodeWorkloadError".to_owned(),
        message: message.to_owned(),
        ..Condition::default()
    };
    assert!(is_new_failure(&failure("a"), &[]));
    assert!(is_new_failure(&failure("a"), &[told("b")]));
    assert!(!is_new_failure(&failure("a"), &[told("b"), told("a")]));
}

const STATUS: &str = "/apis/serving.kserve.io/v1alpha2/namespaces/team/llminferenceservices/chat/status";

fn service(status: &Value) -> Value {
    json!({
        "apiVersion": "serving.kserve.io/v1alpha2",
        "kind": "LLMInferenceService",
        "metadata": {"namespace": "team", "name": "chat", "uid": "1", "resourceVersion": "7", "generation": 2},
        "spec": {},
        "status": status,
    })
}

/// The status that a service with `before` has after a turn that could not read its surroundings, `failures` others
/// having failed before; `None` when it was left alone.
async fn told_after(before: Value, failures: u32) -> Option<Value> {
    let written: Arc<Mutex<Option<Value>>> = Arc::default();
    let seen = Arc::clone(&written);
    let write = move |Json(body): Json<Value>| async move {
        *seen.lock() = Some(body["status"].clone());
        let mut reply = service(&body["status"]);
        reply["metadata"]["resourceVersion"] = "8".into();
        Json(reply)
    };
    let (context, _writer) = testing::context(testing::client(Router::new().route(STATUS, put(write))));
    let key = Key::new("team", "chat");
    let object = testing::observe(&context.caches, &service(&before));
    for _ in 0..failures {
        context.caches.services_queue.retry(key.clone());
    }
    let fault =
        kube::Error::Api(kube::core::Status::failure("etcd is gone", "Unavailable").with_code(503).boxed());
    let outcome = told(&context, &key, &object, Err::<(), _>(Error::Gather(fault.into()))).await;
    assert!(matches!(outcome, Err(Error::Gather(_))), "it is tried again");
    let written = written.lock().take();
    let cached = context.caches.service(&key).unwrap();
    let version = if written.is_some() { "8" } else { "7" };
    assert_eq!(cached.metadata.resource_version.as_deref(), Some(version));
    written
}

fn condition<'a>(status: &'a Value, type_: &str) -> &'a Value {
    let conditions = status["conditions"].as_array().unwrap();
    conditions.iter().find(|it| it["type"] == type_).unwrap()
}

#[tokio::test]
async fn a_new_service_shows_at_once_why_nothing_is_done() {
    let status = told_after(json!({}), 0).await.unwrap();
    let workloads = condition(&status, "WorkloadsReady");
    assert_eq!(workloads["status"], "Unknown");
    assert_eq!(workloads["reason"], "DependenciesUnavailable");
    assert_eq!(workloads["message"], "cannot read what the service depends on: etcd is gone");
    assert_eq!(condition(&status, "Ready")["status"], "Unknown");
}

#[tokio::test]
async fn a_service_that_is_known_shows_only_a_failure_that_lasts() {
    let ready = || {
        let condition = |type_: &str| json!({"type": type_, "status": "True"});
        json!({"observedGeneration": 2, "conditions": [condition("Ready"), condition("WorkloadsReady")]})
    };
    assert_eq!(told_after(ready(), PATIENCE - 1).await, None);
    let status = told_after(ready(), PATIENCE).await.unwrap();
    assert_eq!(condition(&status, "WorkloadsReady")["status"], "Unknown");
    let mut changed = ready();
    changed["observedGeneration"] = 1.into();
    assert!(told_after(changed, 0).await.is_some(), "a new spec is told about at once");
}
