use serde_json::{Value, json};

use super::super::testing::Cluster;
use super::*;

fn conditions(all: &[(&str, &str)]) -> Vec<Condition> {
    let condition = |&(type_, status): &(&str, &str)| Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        ..Condition::default()
    };
    all.iter().map(condition).collect()
}

#[track_caller]
fn check(old: &[(&str, &str)], new: &[(&str, &str)], expected: Option<(&str, &str)>) {
    let actual = transition("qwen", &conditions(old), &conditions(new));
    assert_eq!(actual.as_ref().map(|it| (it.reason, it.message.as_str())), expected, "{old:?} to {new:?}");
}

#[test]
fn becoming_ready_is_told_once() {
    let ready = Some(("LLMInferenceServiceReady", "LLMInferenceService [qwen] is Ready"));
    check(&[], &[("Ready", "True")], ready);
    check(&[("Ready", "Unknown")], &[("Ready", "True")], ready);
    check(&[("Ready", "True")], &[("Ready", "True")], None);
}

#[test]
fn ceasing_to_be_ready_is_told_once_with_the_causes() {
    let broken = [("WorkloadsReady", "False"), ("Ready", "False"), ("MainWorkloadReady", "False")];
    let message =
        "LLMInferenceService [qwen] is no longer Ready because of: MainWorkloadReady, WorkloadsReady";
    check(&[("Ready", "True")], &broken, Some(("LLMInferenceServiceNotReady", message)));
    check(&broken, &broken, None);
    check(&[], &broken, None);
}

fn service(name: &str, model: &str, group: Option<&str>) -> Value {
    json!({
        "apiVersion": "serving.kserve.io/v1alpha2",
        "kind": "LLMInferenceService",
        "metadata": {"name": name, "namespace": "team"},
        "spec": {
            "model": {"uri": "hf://org/model", "name": model},
            "router": {"route": {"group": group, "weight": 1}},
        },
        "status": {"conditions": [{"type": "RouterReady", "status": "True"}]},
    })
}

fn reasons(objects: &[Value]) -> Vec<&'static str> {
    warnings(&Cluster::new(objects.to_vec()).service()).into_iter().map(|it| it.reason).collect()
}

#[test]
fn two_services_with_one_model_name_collide() {
    let collision = ["ModelNameCollision"];
    assert_eq!(reasons(&[service("a", "m", None), service("b", "m", None)]), collision);
    assert_eq!(reasons(&[service("a", "m", Some("x")), service("b", "m", Some("y"))]), collision);
    assert!(reasons(&[service("a", "m", None), service("b", "n", None)]).is_empty());
}

#[test]
fn members_of_a_group_share_their_names_and_must_share_them_all() {
    assert!(reasons(&[service("a", "m", Some("x")), service("b", "m", Some("x"))]).is_empty());
    assert_eq!(reasons(&[service("a", "m", Some("x")), service("b", "n", Some("x"))]), ["MemberDivergence"]);
}

#[test]
fn a_service_that_goes_does_not_collide() {
    let mut going = service("b", "m", None);
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    assert!(reasons(&[service("a", "m", None), going]).is_empty());
}
