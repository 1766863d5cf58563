use llmd_api::gateway::HTTPRoute;
use serde_json::{Value, json};

use super::*;
use crate::llmisvc::status::testing::{self, Cluster};

const HEADER: &str = "X-Gateway-Model-Name";

#[test]
fn the_route_of_every_fixture() {
    testing::assert_snapshots("render/router", |cluster| {
        render(&cluster.service()).into_iter().map(|it| it.body).collect::<Vec<_>>()
    });
}

/// A service with a managed route on the gateway `team/public`, `change`d before it is read.
fn cluster(change: impl Fn(&mut Value), others: &[Value]) -> Cluster {
    let mut service = json!({
        "apiVersion": "serving.kserve.io/v1alpha2",
        "kind": "LLMInferenceService",
        "metadata": {"name": "qwen", "namespace": "team"},
        "spec": {
            "model": {"uri": "hf://org/qwen", "name": "base", "lora": {"adapters": []}},
            "annotations": {"serving.kserve.io/model-based-routing-enabled": "true"},
            "router": {
                "scheduler": {},
                "route": {"http": {"spec": {
                    "parentRefs": [{"name": "public"}],
                    "rules": [
                        {"name": "path", "matches": [path("/team/qwen")], "backendRefs": [workload()]},
                        {"name": "model", "matches": model_matches(), "backendRefs": [pool(V1)]},
                    ],
                }}},
            },
        },
    });
    change(&mut service);
    Cluster::new([vec![service], others.to_vec()].concat())
}

const V1: &str = "inference.networking.k8s.io";
const V1ALPHA2: &str = "inference.networking.x-k8s.io";

fn path(value: &str) -> Value {
    json!({"path": {"type": "PathPrefix", "value": value}})
}

/// Eight endpoints, each by header.
fn model_matches() -> Vec<Value> {
    let header = json!([{"type": "Exact", "name": HEADER, "value": "publishers/team/models/base"}]);
    let matches =
        (0..8).map(|it| json!({"path": {"type": "Exact", "value": format!("/v1/{it}")}, "headers": header}));
    matches.collect()
}

fn pool(group: &str) -> Value {
    json!({"group": group, "kind": "InferencePool", "name": "qwen-inference-pool", "port": 8000})
}

fn workload() -> Value {
    json!({"kind": "Service", "name": "qwen-kserve-workload-svc", "port": 8000})
}

fn gateway(annotations: &Value) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "public", "namespace": "team", "annotations": annotations},
        "spec": {"gatewayClassName": "envoy"},
    })
}

fn with_adapters(count: usize) -> impl Fn(&mut Value) {
    move |service| {
        let adapters: Vec<Value> =
            (0..count).map(|it| json!({"name": format!("adapter-{it:02}"), "uri": "hf://org/a"})).collect();
        service["spec"]["model"]["lora"]["adapters"] = adapters.into();
    }
}

fn spec(service: &Service) -> HttpRouteSpec {
    managed_spec(service).unwrap()
}

fn has_header_rule(service: &Service) -> bool {
    spec(service).rules.iter().any(|it| it.name.as_deref() == Some("model"))
}

#[test]
fn header_rules_need_a_header_name_and_the_services_wish() {
    let service = cluster(|_| (), &[]).service();
    assert!(has_header_rule(&service));

    for value in ["false", "True", ""] {
        let annotations =
            |it: &mut Value| it["spec"]["annotations"] = json!({meta::MODEL_BASED_ROUTING: value});
        assert!(!has_header_rule(&cluster(annotations, &[]).service()), "{value:?}");
    }
    let mut nameless = service;
    let mut settings = (*nameless.settings).clone();
    settings.ingress.model_based_routing_header_name = String::new();
    nameless.settings = settings.into();
    assert!(has_header_rule(&nameless), "a rule by another header is the user's");
}

#[test]
fn header_rules_depend_on_the_mode_and_the_gateways() {
    let refusing = gateway(&json!({meta::MODEL_BASED_ROUTING: "false"}));
    let willing = gateway(&json!({}));
    for (mode, gateway, expected) in [
        ("enabled", &willing, true),
        ("enabled", &refusing, false),
        ("disabled", &willing, false),
        ("forced", &refusing, true),
        ("", &refusing, false),
    ] {
        let mut service = cluster(|_| (), std::slice::from_ref(gateway)).service();
        let mut settings = (*service.settings).clone();
        settings.ingress.model_based_routing_mode = mode.to_owned();
        service.settings = settings.into();
        assert_eq!(has_header_rule(&service), expected, "{mode:?}");
    }
}

#[test]
fn a_rule_keeps_what_does_not_depend_on_the_header() {
    let mixed = |it: &mut Value| {
        it["spec"]["annotations"] = json!({});
        let matches = &mut it["spec"]["router"]["route"]["http"]["spec"]["rules"][1]["matches"];
        matches.as_array_mut().unwrap().push(path("/mixed"));
    };
    let rules = spec(&cluster(mixed, &[]).service()).rules;
    assert_eq!(rules[1].matches.len(), 1);
}

#[test]
fn a_rule_without_matches_is_not_mistaken_for_an_emptied_one() {
    let everything = |it: &mut Value| {
        it["spec"]["annotations"] = json!({});
        it["spec"]["router"]["route"]["http"]["spec"]["rules"][0]["matches"] = json!([]);
    };
    assert_eq!(spec(&cluster(everything, &[]).service()).rules.len(), 1);
}

#[test]
fn every_adapter_is_matched_like_the_base_model() {
    let rules = spec(&cluster(with_adapters(2), &[]).service()).rules;
    let values: Vec<_> = rules[1].matches.iter().map(|it| it.headers[0].value.as_str()).collect();
    assert_eq!(values.len(), 24);
    assert_eq!(values[7..9], ["publishers/team/models/base", "publishers/team/models/adapter-00"]);
    assert_eq!(values[16], "publishers/team/models/adapter-01");
}

#[test]
fn a_rule_with_too_many_matches_is_divided() {
    for (adapters, expected) in [(7, vec![("model", 64)]), (8, vec![("model", 64), ("model-2", 8)])] {
        let service = cluster(with_adapters(adapters), &[gateway(&json!({}))]).service();
        let rules = spec(&service).rules;
        let sizes: Vec<_> =
            rules[1..].iter().map(|it| (it.name.as_deref().unwrap(), it.matches.len())).collect();
        assert_eq!(sizes, expected);
        assert!(rules[1..].iter().all(|it| it.backend_refs == rules[1].backend_refs));
        assert_eq!(check::check(&service), []);
    }
}

#[test]
fn more_adapters_than_a_route_can_hold_are_reported() {
    let messages = |adapters| {
        let service = cluster(with_adapters(adapters), &[gateway(&json!({}))]).service();
        check::check(&service).into_iter().map(|it| (it.reason, it.message)).collect::<Vec<_>>()
    };
    assert_eq!(messages(14), []);
    let [(reason, message)] = messages(15).try_into().unwrap();
    assert_eq!(reason, "HTTPRouteReconcileError");
    assert!(message.contains("129 matches for 15 LoRA adapters") && message.contains("128"), "{message}");
}

/// The live managed route: which pool it names, its annotation, and what its parents say of ResolvedRefs.
fn live_route(group: &str, annotation: Option<&str>, parents: &[(&str, &str, &str)]) -> Value {
    let parents: Vec<Value> = parents
        .iter()
        .map(|(gateway, status, reason)| {
            json!({
                "controllerName": "example.com/c",
                "parentRef": {"name": gateway},
                "conditions": [{
                    "type": "ResolvedRefs", "status": status, "reason": reason, "message": "",
                    "lastTransitionTime": "2026-01-01T00:00:00Z",
                }],
            })
        })
        .collect();
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {
            "name": "qwen-kserve-route", "namespace": "team",
            "labels": {"app.kubernetes.io/name": "qwen"},
            "annotations": annotation.map(|it| json!({meta::POOL_MIGRATED: it})),
        },
        "spec": {
            "parentRefs": [{"name": "public"}, {"name": "second"}],
            "rules": [{"backendRefs": [pool(group)]}],
        },
        "status": {"parents": parents},
    })
}

#[test]
fn the_route_moves_to_the_v1_pool_when_a_gateway_reads_it() {
    let invalid = ("public", "False", "InvalidKind");
    for (case, live, migrated) in [
        ("no live route", None, false),
        ("locked", Some(live_route(V1ALPHA2, Some("v1"), &[])), true),
        ("another value does not lock", Some(live_route(V1ALPHA2, Some("v2"), &[])), false),
        ("v1, nobody reports", Some(live_route(V1, None, &[])), false),
        ("v1, resolved", Some(live_route(V1, None, &[("public", "True", "ResolvedRefs")])), true),
        ("v1, missing backend", Some(live_route(V1, None, &[("public", "False", "BackendNotFound")])), true),
        ("v1, unknown kind", Some(live_route(V1, None, &[invalid])), false),
        ("v1, one of two knows", Some(live_route(V1, None, &[invalid, ("second", "True", "")])), true),
        ("v1, only a former parent knows", Some(live_route(V1, None, &[("gone", "True", "")])), false),
        ("v1alpha2, nobody reports", Some(live_route(V1ALPHA2, None, &[])), false),
        ("v1alpha2, resolved", Some(live_route(V1ALPHA2, None, &[("public", "True", "")])), false),
        ("v1alpha2, unknown kind", Some(live_route(V1ALPHA2, None, &[invalid])), true),
        (
            "v1alpha2, one of two knows",
            Some(live_route(V1ALPHA2, None, &[invalid, ("second", "True", "")])),
            false,
        ),
    ] {
        let live: Vec<Value> = live.into_iter().collect();
        let service = cluster(|_| (), &live).service();
        let [child] = render(&service).try_into().unwrap();
        let annotation = child.body["metadata"]["annotations"][meta::POOL_MIGRATED].as_str();
        let route: HTTPRoute = serde_json::from_value(child.body.clone()).unwrap();
        let group = route.spec.rules[1].backend_refs[0].object.group.as_deref();
        let expected = if migrated { (Some(V1), Some("v1")) } else { (Some(V1ALPHA2), None) };
        assert_eq!((group, annotation), expected, "{case}");
    }
}

#[test]
fn where_only_the_v1_pool_is_served_the_route_starts_with_it() {
    let mut service = cluster(|_| (), &[]).service();
    service.facts.apis = crate::apis::Apis::new([ChildKind::HttpRoute, ChildKind::InferencePool], 36);
    assert_eq!(spec(&service).rules[1].backend_refs[0].object.group.as_deref(), Some(V1));
}

#[test]
fn the_users_pool_is_left_as_it_is_written() {
    let own = |it: &mut Value| {
        it["spec"]["router"]["scheduler"] = json!({"pool": {"ref": {"name": "mine"}}});
        it["spec"]["router"]["route"]["http"]["spec"]["rules"][1]["backendRefs"][0]["name"] = "mine".into();
    };
    let service = cluster(own, &[]).service();
    assert_eq!(spec(&service).rules[1].backend_refs[0].object.group.as_deref(), Some(V1));
    assert!(!pool_migration::is_migrated(&service));
}

#[test]
fn routes_of_the_user_and_no_route_render_nothing() {
    let referenced =
        |it: &mut Value| it["spec"]["router"]["route"]["http"] = json!({"refs": [{"name": "mine"}]});
    let none = |it: &mut Value| it["spec"]["router"]["route"] = Value::Null;
    assert_eq!(render(&cluster(referenced, &[]).service()), []);
    assert_eq!(render(&cluster(none, &[]).service()), []);
}
