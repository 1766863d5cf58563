use serde_json::json;

use super::*;

fn service(name: &str, spec: serde_json::Value) -> LLMInferenceService {
    serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap()
}

#[test]
fn what_is_missing_is_named() {
    let surroundings = Surroundings {
        missing_configs: vec!["base".to_owned()],
        missing_gateways: vec!["infra/gw".to_owned()],
        ..Surroundings::default()
    };
    let warnings = advise(&service("a", json!({})), &surroundings);
    assert_eq!(warnings.len(), 2);
    assert!(warnings[0].contains("\"base\""), "{warnings:?}");
    assert!(warnings[1].contains("infra/gw"), "{warnings:?}");
}

#[test]
fn two_services_of_one_model_name_collide_unless_grouped() {
    let named = |name: &str, group: Option<&str>| {
        let router = group.map(|it| json!({"route": {"group": it, "weight": 1}}));
        service(name, json!({"model": {"uri": "u", "name": "llama"}, "router": router}))
    };
    let collide = |own: &LLMInferenceService, peer: &LLMInferenceService| {
        advise(own, &Surroundings { peers: vec![Peer::of(peer)], ..Surroundings::default() }).len()
    };
    assert_eq!(collide(&named("a", None), &named("b", None)), 1);
    assert_eq!(collide(&named("a", None), &named("a", None)), 0, "a service does not collide with itself");
    assert_eq!(collide(&named("a", Some("g")), &named("b", Some("g"))), 0);
    assert_eq!(collide(&named("a", Some("g")), &named("b", Some("h"))), 1);
    let unnamed = |name: &str| service(name, json!({"model": {"uri": "u"}}));
    assert_eq!(collide(&unnamed("llama"), &named("b", None)), 1, "the service's name is the default");
    assert_eq!(collide(&unnamed("a"), &unnamed("b")), 0);
    let adapter =
        service("c", json!({"model": {"uri": "u", "lora": {"adapters": [{"name": "llama", "uri": "u"}]}}}));
    assert_eq!(collide(&adapter, &named("b", None)), 1, "adapters are models too");
}

#[test]
fn adapters_beyond_the_route_are_counted() {
    let lora = service(
        "a",
        json!({"model": {"uri": "u", "lora": {"adapters": [
        {"name": "x", "uri": "u"}, {"name": "y", "uri": "u"}]}}}),
    );
    let warnings =
        |limit| advise(&lora, &Surroundings { adapter_limit: Some(limit), ..Surroundings::default() }).len();
    assert_eq!(warnings(2), 0);
    assert_eq!(warnings(1), 1);
}
