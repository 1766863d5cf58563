use serde_json::{Value, json};

use super::super::testing::Cluster;
use super::*;

fn condition(type_: &str, status: &str, generation: i64) -> Value {
    json!({
        "type": type_,
        "status": status,
        "reason": "Because",
        "message": "of this",
        "observedGeneration": generation,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    })
}

fn parent(gateway: &str, conditions: &[Value]) -> Value {
    json!({"controllerName": "example.com/c", "parentRef": {"name": gateway}, "conditions": conditions})
}

/// A service with a route of generation 5 on the gateways `a` and `b`.
fn cluster(parents: &[Value]) -> Cluster {
    let service = json!({
        "apiVersion": "serving.kserve.io/v1alpha2",
        "kind": "LLMInferenceService",
        "metadata": {"name": "qwen", "namespace": "team"},
        "spec": {"router": {"route": {"http": {"refs": [{"name": "mine"}]}}}},
    });
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "mine", "namespace": "team", "generation": 5},
        "spec": {"parentRefs": [{"name": "a"}, {"name": "b", "namespace": "team", "kind": "Gateway"}]},
        "status": {"parents": parents},
    });
    Cluster::new(vec![service, route])
}

fn content(gateway: &str) -> Value {
    parent(gateway, &[condition("Accepted", "True", 5), condition("ResolvedRefs", "True", 0)])
}

#[track_caller]
fn check(parents: &[Value], message: &str) {
    let expected =
        if message.is_empty() { Verdict::True } else { Verdict::no("HTTPRoutesNotReady", message) };
    assert_eq!(routes_verdict(&cluster(parents).service()), expected);
}

#[test]
fn a_route_is_ready_when_all_its_parents_are_content() {
    check(&[content("a"), content("b")], "");
}

#[test]
fn a_silent_parent_is_waited_for() {
    check(&[content("a")], "HTTPRoute team/mine: Gateway team/b: has not reported Accepted");
    let indifferent = parent("b", &[condition("Programmed", "True", 5)]);
    check(&[content("a"), indifferent], "HTTPRoute team/mine: Gateway team/b: has not reported Accepted");
}

#[test]
fn a_refusal_is_quoted() {
    let refusing = parent("b", &[condition("Accepted", "False", 5)]);
    check(
        &[content("a"), refusing],
        "HTTPRoute team/mine: Gateway team/b: Accepted=False (Because): of this",
    );
}

#[test]
fn references_must_be_resolved() {
    let unresolved = parent("b", &[condition("Accepted", "True", 5), condition("ResolvedRefs", "False", 5)]);
    check(
        &[content("a"), unresolved],
        "HTTPRoute team/mine: Gateway team/b: ResolvedRefs=False (Because): of this",
    );
    let unsaid = parent("b", &[condition("Accepted", "True", 5)]);
    check(&[content("a"), unsaid], "HTTPRoute team/mine: Gateway team/b: has not reported ResolvedRefs");
}

#[test]
fn an_answer_about_an_older_generation_does_not_count() {
    let stale = parent("b", &[condition("Accepted", "True", 4), condition("ResolvedRefs", "True", 5)]);
    check(
        &[content("a"), stale],
        "HTTPRoute team/mine: Gateway team/b: Accepted=True for generation 4, not yet for 5",
    );
}

#[test]
fn a_gateway_must_be_programmed() {
    let gateway = |status: &str| {
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": "public", "namespace": "team"},
            "spec": {"gatewayClassName": "envoy"},
            "status": {"conditions": [condition("Programmed", status, 1)]},
        })
    };
    let service = json!({
        "apiVersion": "serving.kserve.io/v1alpha2",
        "kind": "LLMInferenceService",
        "metadata": {"name": "qwen", "namespace": "team"},
        "spec": {"router": {"gateway": {"refs": [{"name": "public"}]}}},
    });
    let verdict =
        |status: &str| gateways_verdict(&Cluster::new(vec![service.clone(), gateway(status)]).service());
    assert_eq!(verdict("True"), Verdict::True);
    assert_eq!(
        verdict("False"),
        Verdict::no("GatewaysNotReady", "Gateway team/public: Programmed=False (Because): of this"),
    );
    assert_eq!(
        gateways_verdict(&Cluster::new(vec![service.clone()]).service()),
        Verdict::no("GatewaysNotReady", "Gateway team/public does not exist"),
    );
}
