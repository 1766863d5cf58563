use serde_json::{Value, json};

use super::*;
use crate::webhook::testing::Values;

fn warnings(service: &LLMInferenceService, cluster: &Values) -> Vec<String> {
    let around = Surroundings {
        configs: cluster,
        routing: cluster,
        installation: Arc::default(),
        settings: Arc::default(),
        apis: Apis::all(),
    };
    advise(service, &around)
}

#[expect(clippy::needless_pass_by_value, reason = "literals read better at the call")]
fn service(name: &str, spec: Value) -> LLMInferenceService {
    serde_json::from_value(json!({"metadata": {"name": name, "namespace": "team"}, "spec": spec})).unwrap()
}

#[test]
fn a_service_that_fits_its_cluster_gives_no_warning() {
    assert_eq!(warnings(&service("a", json!({"model": {"uri": "hf://a/b"}})), &Values::default()), [""; 0]);
}

#[test]
fn a_gateway_that_does_not_exist_is_named() {
    let spec = json!({"router": {
        "route": {"http": {"spec": {"parentRefs": [{"name": "gw"}]}}},
        "gateway": {"refs": [{"name": "gw"}]},
    }});
    let found = warnings(&service("a", spec.clone()), &Values::default());
    assert!(!found.is_empty() && found.iter().all(|it| it.contains("team/gw")), "{found:?}");
    let cluster = Values { gateways: vec!["gw"], ..Values::default() };
    assert_eq!(warnings(&service("a", spec), &cluster), [""; 0]);
}

#[test]
fn two_services_of_one_model_name_collide_unless_grouped() {
    let named = |name: &str, group: Option<&str>| {
        let router = group.map(|it| json!({"route": {"group": it, "weight": 1}}));
        service(name, json!({"model": {"uri": "u", "name": "llama"}, "router": router}))
    };
    let collide = |own: &LLMInferenceService, peer: LLMInferenceService| {
        let cluster = Values { services: vec![Arc::new(peer)], ..Values::default() };
        warnings(own, &cluster).iter().filter(|it| it.contains("also served by")).count()
    };
    assert_eq!(collide(&named("a", None), named("b", None)), 1);
    assert_eq!(collide(&named("a", None), named("a", None)), 0, "a service does not collide with itself");
    assert_eq!(collide(&named("a", Some("g")), named("b", Some("g"))), 0);
    assert_eq!(collide(&named("a", Some("g")), named("b", Some("h"))), 1);
    let unnamed = |name: &str| service(name, json!({"model": {"uri": "u"}}));
    assert_eq!(collide(&unnamed("llama"), named("b", None)), 1, "the service's name is the default");
    assert_eq!(collide(&unnamed("a"), unnamed("b")), 0);
    let adapter =
        service("c", json!({"model": {"uri": "u", "lora": {"adapters": [{"name": "llama", "uri": "u"}]}}}));
    assert_eq!(collide(&adapter, named("b", None)), 1, "adapters are models too");
}

#[test]
fn a_peer_that_is_being_deleted_is_no_rival() {
    let mut peer = service("b", json!({"model": {"uri": "u", "name": "a"}}));
    peer.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    let cluster = Values { services: vec![Arc::new(peer)], ..Values::default() };
    assert_eq!(warnings(&service("a", json!({})), &cluster), [""; 0]);
}

#[test]
fn what_the_engine_does_not_do_is_said_at_once() {
    let pod = |image| json!({"containers": [{"name": "main", "image": image}]});
    let told = |image| {
        let spec = json!({"template": pod(image), "kvCacheOffloading": {"cpu": "1Gi"}});
        warnings(&service("a", spec), &Values::default())
    };
    assert_eq!(told("vllm/vllm-openai:v0.23.0"), [""; 0]);
    let ours = told("mirror:5000/llmd-engine:1");
    assert!(matches!(&ours[..], [it] if it.starts_with("spec.kvCacheOffloading: not supported")), "{ours:?}");
}
