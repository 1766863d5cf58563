use axum::Router;
use axum::extract::Json;
use axum::http::Method;
use axum::routing::any;
use llmd_api::serving::v1alpha2::LLMInferenceService;
use prometheus::Registry;
use serde_json::Value;

use super::*;
use crate::testing;

fn service(uid: &str) -> LLMInferenceService {
    serde_json::from_value(json!({"metadata": {"namespace": "team", "name": "chat", "uid": uid}, "spec": {}}))
        .unwrap()
}

#[test]
fn changes_name_version_kind_and_place() {
    let outcome = Outcome {
        created: vec![(ChildKind::Deployment, "chat-kserve".to_owned())],
        deleted: vec![(ChildKind::ClusterRoleBinding, "auth".to_owned())],
        ..Outcome::default()
    };
    let messages: Vec<_> = changes("team", &outcome).into_iter().map(|it| it.message).collect();
    assert_eq!(messages, ["Created v1.Deployment team/chat-kserve", "Deleted v1.ClusterRoleBinding auth"]);
}

#[tokio::test]
async fn what_waits_at_the_end_is_written_and_a_repetition_is_counted() {
    let requests: Arc<Mutex<Vec<(Method, Value)>>> = Arc::default();
    let seen = Arc::clone(&requests);
    let answer = move |method: Method, Json(body): Json<Value>| async move {
        seen.lock().push((method, body.clone()));
        let mut event = json!({"metadata": {}, "involvedObject": {}});
        event["metadata"] = json!({"name": "it", "namespace": "team"});
        Json(event)
    };
    let client = testing::client(Router::new().fallback(any(answer)));
    let (context, writer) = testing::context(client);
    for message in ["first", "second", "first"] {
        context.events.service(&service("1"), Note::normal("Told", message));
    }
    let stop = CancellationToken::new();
    stop.cancel();
    writer.run(stop).await;
    let requests = requests.lock();
    let told: Vec<_> = requests.iter().map(|(method, body)| (method.as_str(), &body["message"])).collect();
    assert_eq!(told, [("POST", &json!("first")), ("POST", &json!("second")), ("PATCH", &Value::Null)]);
    assert_eq!(requests[2].1["count"], 2);
}

#[tokio::test]
async fn notes_that_find_no_place_are_dropped_and_counted() {
    let registry = Registry::new();
    let client = testing::client(Router::new());
    let (events, writer) = Events::new(&client, "test", Metrics::new(&registry));
    for number in 0..WAITING + 3 {
        events.service(&service("1"), Note::normal("Told", number.to_string()));
    }
    let families = registry.gather();
    let dropped = families.iter().find(|it| it.name() == "llmd_controller_events_dropped_total").unwrap();
    assert_eq!(dropped.get_metric()[0].get_counter().get_value().to_string(), "3");
    drop(writer);
}

#[tokio::test]
async fn a_warning_is_published_once_while_it_stands() {
    let (context, mut writer) = testing::context(testing::client(Router::new()));
    let warning = || vec![Note::warning("Odd", "it is")];
    context.events.standing(&service("1"), warning());
    context.events.standing(&service("1"), warning());
    context.events.standing(&service("1"), Vec::new());
    context.events.standing(&service("1"), warning());
    let waiting: usize = writer.lanes.iter_mut().map(|it| it.letters.len()).sum();
    assert_eq!(waiting, 2);
}
