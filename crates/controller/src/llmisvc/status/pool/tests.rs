use serde_json::{Value, json};

use super::super::conditions::Reason;
use super::super::router;
use super::super::testing::Cluster;
use super::*;

/// A service with a scheduler on the given gateways and the pools that are there.
fn cluster(gateways: &[&str], pools: &[Value]) -> Cluster {
    let references: Vec<Value> = gateways.iter().map(|it| json!({"name": it})).collect();
    let service = json!({
        "apiVersion": "serving.kserve.io/v1alpha2",
        "kind": "LLMInferenceService",
        "metadata": {"name": "qwen", "namespace": "team"},
        "spec": {"router": {"gateway": {"refs": references}, "scheduler": {}}},
    });
    Cluster::new([vec![service], pools.to_vec()].concat())
}

fn v1(parents: &[Value]) -> Value {
    json!({
        "apiVersion": "inference.networking.k8s.io/v1",
        "kind": "InferencePool",
        "metadata": metadata(),
        "spec": {"selector": {"matchLabels": {}}},
        "status": {"parents": parents},
    })
}

fn v1alpha2(parents: &[Value]) -> Value {
    json!({
        "apiVersion": "inference.networking.x-k8s.io/v1alpha2",
        "kind": "InferencePool",
        "metadata": metadata(),
        "spec": {"selector": {}, "targetPortNumber": 8000, "extensionRef": {"name": "picker"}},
        "status": {"parent": parents},
    })
}

fn metadata() -> Value {
    let labels = json!({"app.kubernetes.io/name": "qwen"});
    json!({"name": "qwen-inference-pool", "namespace": "team", "generation": 3, "labels": labels})
}

fn parent(gateway: &str, accepted: &str, generation: i64) -> Value {
    json!({
        "parentRef": {"name": gateway},
        "conditions": [{
            "type": "Accepted",
            "status": accepted,
            "reason": "Because",
            "message": "",
            "observedGeneration": generation,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }],
    })
}

#[track_caller]
fn check(cluster: &Cluster, reason: &str, message: &str) {
    let service = cluster.service();
    let expected = if reason.is_empty() { Verdict::True } else { Verdict::no(reason, message) };
    assert_eq!(verdict(&service, &router::gateways(&service)), expected);
}

#[test]
fn accepted_by_every_gateway() {
    check(&cluster(&["a", "b"], &[v1(&[parent("a", "True", 3), parent("b", "True", 3)])]), "", "");
}

#[test]
fn one_api_group_is_enough() {
    let alpha = v1alpha2(&[parent("a", "True", 3)]);
    check(&cluster(&["a"], &[v1(&[]), alpha.clone()]), "", "");
    check(&cluster(&["a"], &[v1(&[parent("a", "False", 3)]), alpha]), "", "");
}

#[test]
fn both_groups_together_do_not_make_up_for_each_other() {
    let pools = [v1(&[parent("a", "True", 3)]), v1alpha2(&[parent("b", "True", 3)])];
    check(
        &cluster(&["a", "b"], &pools),
        "WaitingForGateway",
        "Gateway team/b has not reported on the InferencePool",
    );
}

#[test]
fn each_gateway_has_its_own_reason() {
    check(
        &cluster(&["a", "b", "c"], &[v1(&[parent("a", "False", 3), parent("c", "True", 3)])]),
        "InferencePoolNotReady",
        "Gateway team/a: Accepted=False (Because); Gateway team/b has not reported on the InferencePool",
    );
}

#[test]
fn an_answer_about_an_older_generation_does_not_count() {
    check(
        &cluster(&["a"], &[v1(&[parent("a", "True", 2)])]),
        "InferencePoolNotReady",
        "Gateway team/a: Accepted=True for generation 2, not yet for 3",
    );
    check(&cluster(&["a"], &[v1(&[parent("a", "True", 0)])]), "", "");
}

#[test]
fn every_entry_of_a_gateway_must_accept() {
    check(
        &cluster(&["a"], &[v1(&[parent("a", "True", 3), parent("a", "False", 3)])]),
        "InferencePoolNotReady",
        "Gateway team/a: Accepted=False (Because)",
    );
}

#[test]
fn other_gateways_are_ignored() {
    check(&cluster(&["a"], &[v1(&[parent("a", "True", 3), parent("z", "False", 3)])]), "", "");
}

#[test]
fn without_gateways_anyone_who_accepted_will_do() {
    let one_refuses = [parent("y", "False", 3), parent("z", "True", 3)];
    check(&cluster(&[], &[v1(&one_refuses)]), "", "");
    check(&cluster(&[], &[v1(&[])]), "WaitingForGateway", "no Gateway has accepted the InferencePool");
    check(
        &cluster(&[], &[v1(&one_refuses[..1])]),
        "InferencePoolNotReady",
        "Gateway team/y: Accepted=False (Because)",
    );
}

#[test]
fn without_gateways_an_endpoint_picker_that_answers_itself_will_do() {
    let mut object = cluster(&[], &[]).object();
    let main = json!({"name": "main", "ports": [{"name": "http", "containerPort": 8081}]});
    let template = json!({"template": {"containers": [main]}});
    object.spec.router.as_mut().unwrap().scheduler = serde_json::from_value(template).unwrap();
    let answering = |pools: &[Value]| Cluster::new([vec![json!(object)], pools.to_vec()].concat());
    check(&answering(&[v1(&[])]), "", "");
    check(
        &answering(&[v1(&[parent("y", "False", 3)])]),
        "InferencePoolNotReady",
        "Gateway team/y: Accepted=False (Because)",
    );
    object.spec.router.as_mut().unwrap().gateway =
        serde_json::from_value(json!({"refs": [{"name": "a"}]})).unwrap();
    let on_gateway = Cluster::new(vec![json!(object), v1(&[])]);
    check(&on_gateway, "WaitingForGateway", "Gateway team/a has not reported on the InferencePool");
}

#[test]
fn a_pool_that_is_not_there() {
    check(
        &cluster(&["a"], &[]),
        "WaitingForGateway",
        "InferencePool team/qwen-inference-pool has not been created yet",
    );
}

#[test]
fn the_users_own_pool_is_judged_the_same_way() {
    let service = |pool: &str| {
        json!({
            "apiVersion": "serving.kserve.io/v1alpha2",
            "kind": "LLMInferenceService",
            "metadata": {"name": "other", "namespace": "team"},
            "spec": {"router": {"scheduler": {"pool": {"ref": {"name": pool}}}}},
        })
    };
    let pool = v1(&[parent("a", "True", 3)]);
    check(&Cluster::new(vec![service("qwen-inference-pool"), pool.clone()]), "", "");
    let absent = Cluster::new(vec![service("absent"), pool]).service();
    let expected = Reason {
        reason: "InferencePoolFetchError".to_owned(),
        message: "InferencePool team/absent does not exist".to_owned(),
    };
    assert_eq!(verdict(&absent, &BTreeSet::new()), Verdict::False(expected));
}
