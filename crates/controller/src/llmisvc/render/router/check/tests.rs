use llmd_api::serving::conditions as types;
use serde_json::{Value, json};

use super::*;
use crate::llmisvc::status::testing::Cluster;

fn cluster(router: &Value, others: &[Value]) -> Cluster {
    let service = json!({
        "apiVersion": "serving.kserve.io/v1alpha2",
        "kind": "LLMInferenceService",
        "metadata": {"name": "qwen", "namespace": "team"},
        "spec": {"router": router},
    });
    Cluster::new([vec![service], others.to_vec()].concat())
}

fn route(name: &str, parents: &[&str]) -> Value {
    let parents: Vec<Value> = parents.iter().map(|it| json!({"name": it})).collect();
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "team"},
        "spec": {"parentRefs": parents},
    })
}

fn gateway(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"gatewayClassName": "envoy"},
    })
}

#[track_caller]
fn expect(router: &Value, others: &[Value], expected: &[(&str, &str)]) {
    let errors = check(&cluster(router, others).service());
    let actual: Vec<_> = errors.iter().map(|it| (it.condition, it.message.as_str())).collect();
    assert_eq!(actual, expected);
    assert!(errors.iter().all(|it| it.reason == REFS_INVALID));
}

#[test]
fn gateways_that_do_not_exist_are_listed() {
    let refs = json!({"gateway": {"refs": [{"name": "a"}, {"name": "b", "namespace": "x"}, {"name": "c"}]}});
    let message = "Gateway team/a does not exist; Gateway x/b does not exist";
    expect(&refs, &[gateway("team", "c")], &[(types::GATEWAYS_READY, message)]);
    expect(&refs, &[gateway("team", "a"), gateway("x", "b"), gateway("team", "c")], &[]);
}

#[test]
fn routes_that_do_not_exist_are_listed() {
    let refs = json!({"route": {"http": {"refs": [{"name": "a"}, {"name": "b"}]}}});
    let message = "HTTPRoute team/a does not exist; HTTPRoute team/b does not exist";
    expect(&refs, &[], &[(types::HTTP_ROUTES_READY, message)]);
}

#[test]
fn the_managed_route_needs_its_gateways() {
    let managed = json!({"route": {"http": {"spec": {"parentRefs": [{"name": "a", "namespace": "x"}]}}}});
    let message = "Managed HTTPRoute references non-existent Gateway x/a";
    expect(&managed, &[], &[(types::HTTP_ROUTES_READY, message)]);
    expect(&managed, &[gateway("x", "a")], &[]);
}

#[test]
fn referenced_routes_need_parents_that_exist() {
    let refs = json!({"route": {"http": {"refs": [{"name": "a"}, {"name": "b"}]}}});
    let message = "HTTPRoute target validation failed: HTTPRoute team/a has no parentRefs; \
                   HTTPRoute team/b references non-existent Gateway team/g";
    expect(&refs, &[route("a", &[]), route("b", &["g"])], &[(types::HTTP_ROUTES_READY, message)]);
    expect(&refs, &[route("a", &["g"]), route("b", &["g"]), gateway("team", "g")], &[]);
}

#[test]
fn a_managed_route_that_nobody_describes_is_reported() {
    let errors = check(&cluster(&json!({"route": {}}), &[]).service());
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].reason, RECONCILE_ERROR);
    assert!(errors[0].message.contains("config-llm-router-route"), "{}", errors[0].message);
}

#[test]
fn a_cluster_without_gateway_api_is_reported() {
    let managed = json!({"route": {"http": {"spec": {"parentRefs": [{"name": "a"}]}}}});
    let mut service = cluster(&managed, &[gateway("team", "a")]).service();
    service.facts.apis = crate::apis::Apis::default();
    let errors = check(&service);
    assert!(errors[0].message.contains("install the CRDs of Gateway API"), "{}", errors[0].message);
}

#[test]
fn a_stopped_service_has_nothing_to_be_wrong() {
    let mut service = cluster(&json!({"gateway": {"refs": [{"name": "a"}]}}), &[]).service();
    service.annotations.insert(llmd_api::meta::STOP.to_owned(), "true".to_owned());
    assert_eq!(check(&service), []);
}
