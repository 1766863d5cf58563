use serde_json::{Value, json};

use super::super::managed_spec;
use super::*;
use crate::llmisvc::facts::routing::RoutingSource;
use crate::llmisvc::status::testing::Cluster;

fn this() -> Value {
    json!({
        "apiVersion": "serving.kserve.io/v1alpha2",
        "kind": "LLMInferenceService",
        "metadata": {"name": "stable", "namespace": "team"},
        "spec": {
            "model": {"uri": "hf://org/m", "name": "m"},
            "router": {
                "scheduler": {"pool": {"ref": {"name": "mine"}}},
                "route": {"group": "chat", "weight": 7, "http": {"spec": {"rules": [
                    rule("/team/stable/v1", &pool("mine")),
                    rule("/publishers/team/models/m/v1", &pool("mine")),
                    rule("/publishers/team/models/m", &workload("stable")),
                    rule("/docs", &json!({"name": "docs", "port": 80})),
                ]}}},
            },
        },
    })
}

fn rule(path: &str, backend: &Value) -> Value {
    json!({"matches": [{"path": {"type": "PathPrefix", "value": path}}], "backendRefs": [backend]})
}

fn pool(name: &str) -> Value {
    json!({"group": "inference.networking.k8s.io", "kind": "InferencePool", "name": name, "port": 8000})
}

fn workload(service: &str) -> Value {
    json!({"group": "", "kind": "Service", "name": format!("{service}-kserve-workload-svc"), "port": 8000})
}

/// A member of the group with weight 3 that can serve.
fn peer(name: &str, change: impl Fn(&mut Value)) -> Value {
    let mut peer = json!({
        "apiVersion": "serving.kserve.io/v1alpha2",
        "kind": "LLMInferenceService",
        "metadata": {"name": name, "namespace": "team"},
        "spec": {
            "model": {"uri": "hf://org/m", "name": "m"},
            "router": {"route": {"group": "chat", "weight": 3}},
        },
        "status": {
            "conditions": [{"type": "RouterReady", "status": "True"}],
            "workloads": {"primary": {"kind": "Deployment", "name": "d", "readyReplicas": 1}},
            "router": {"scheduler": {"inferencePool": {"group": "g", "kind": "InferencePool", "name": "theirs"}}},
        },
    });
    change(&mut peer);
    peer
}

fn backends(rule: &HttpRouteRule) -> Vec<(&str, Option<i32>)> {
    rule.backend_refs.iter().map(|it| (it.object.name.as_str(), it.weight)).collect()
}

#[test]
fn members_share_the_common_rules_and_nothing_else() {
    let service = Cluster::new(vec![this(), peer("canary", |_| ())]).service();
    let rules = managed_spec(&service).unwrap().rules;
    assert_eq!(backends(&rules[0]), [("mine", None)]);
    assert_eq!(backends(&rules[1]), [("theirs", Some(3)), ("mine", Some(7))]);
    let services = [("canary-kserve-workload-svc", Some(3)), ("stable-kserve-workload-svc", Some(7))];
    assert_eq!(backends(&rules[2]), services);
    assert_eq!(backends(&rules[3]), [("docs", None)]);
}

#[test]
fn who_takes_part() {
    let set = |path: &'static str, value: Value| {
        move |it: &mut Value| *it.pointer_mut(path).unwrap() = value.clone()
    };
    let stop = |it: &mut Value| {
        it["metadata"]["annotations"] = json!({meta::STOP: "true"});
        it["status"] = json!({});
    };
    let all: Vec<(&str, Value, Option<bool>)> = vec![
        ("serving", peer("p", |_| ()), Some(false)),
        ("stopped", peer("p", stop), Some(true)),
        ("without status", peer("p", set("/status", json!({}))), None),
        ("router not ready", peer("p", set("/status/conditions/0/status", "False".into())), None),
        ("no replica", peer("p", set("/status/workloads/primary/readyReplicas", 0.into())), None),
        ("another group", peer("p", set("/spec/router/route/group", "other".into())), None),
        ("other models", peer("p", set("/spec/model/name", "other".into())), None),
        (
            "deleting",
            peer("p", |it| it["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into()),
            None,
        ),
    ];
    for (case, peer, expected) in all {
        let group = group(&Cluster::new(vec![this(), peer]).service()).unwrap();
        let member = group.members.iter().find(|it| it.name == "p");
        assert_eq!(member.map(|it| it.stopped), expected, "{case}");
        assert!(group.members.iter().any(|it| it.name == "stable"), "{case}");
        assert_eq!(group.divergent == ["p"], case == "other models", "{case}");
    }
}

#[test]
fn a_member_keeps_its_share_until_its_changed_route_is_accepted() {
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "stable-kserve-route", "namespace": "team", "labels": {meta::NAME: "stable"}},
        "spec": {"rules": [rule("/publishers/team/models/m", &workload("canary"))]},
    });
    let members = |ready: i32| {
        let change = |it: &mut Value| {
            it["status"]["conditions"][0]["status"] = "False".into();
            it["status"]["workloads"]["primary"]["readyReplicas"] = ready.into();
        };
        let service = Cluster::new(vec![this(), peer("canary", change), route.clone()]).service();
        group(&service).unwrap().members.len()
    };
    assert_eq!(members(1), 2);
    assert_eq!(members(0), 1, "one that cannot serve loses it");
}

#[test]
fn a_stopped_member_gets_no_requests() {
    let stop = |it: &mut Value| it["metadata"]["annotations"] = json!({meta::STOP: "true"});
    let rules = managed_spec(&Cluster::new(vec![this(), peer("canary", stop)]).service()).unwrap().rules;
    assert_eq!(backends(&rules[1]), [("mine", Some(7))]);
}

#[test]
fn a_group_that_a_base_gave_is_known_from_the_status() {
    let inherited = |it: &mut Value| {
        it["spec"]["router"] = json!({});
        it["status"]["router"]["group"] =
            json!({"name": "chat", "members": [{"name": "canary", "weight": 9}]});
    };
    let group = group(&Cluster::new(vec![this(), peer("canary", inherited)]).service()).unwrap();
    assert_eq!((group.members[0].name.as_str(), group.members[0].weight), ("canary", 9));
}

#[test]
fn addresses_tell_the_models_better_than_the_spec() {
    let announced = |it: &mut Value| {
        it["spec"]["model"]["name"] = "renamed".into();
        it["status"]["addresses"] = json!([{"models": [{"name": "publishers/team/models/m"}]}]);
    };
    let group = group(&Cluster::new(vec![this(), peer("canary", announced)]).service()).unwrap();
    assert_eq!(group.divergent, Vec::<String>::new());
}

fn route(owner: &str, backend: &Value) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": format!("{owner}-kserve-route"), "namespace": "team"},
        "spec": {"rules": [{"backendRefs": [backend]}]},
    })
}

/// Whom `stable` waits for when it goes.
fn waits_for(objects: Vec<Value>) -> Vec<String> {
    let cluster = Cluster::new(objects);
    let service = cluster.service();
    assert!(!cluster.services("team").is_empty());
    awaited(&cluster.object(), service.facts.routing.peers.values())
}

#[test]
fn a_member_waits_for_routes_that_name_it() {
    let canary = || peer("canary", |_| ());
    assert_eq!(waits_for(vec![this(), canary()]), Vec::<String>::new());
    assert_eq!(waits_for(vec![this(), canary(), route("canary", &workload("canary"))]), Vec::<String>::new());
    assert_eq!(waits_for(vec![this(), canary(), route("canary", &workload("stable"))]), ["canary"]);
    assert_eq!(
        waits_for(vec![this(), canary(), route("canary", &pool("stable-inference-pool"))]),
        ["canary"]
    );
    assert_eq!(waits_for(vec![this(), canary(), route("canary", &pool("mine"))]), ["canary"]);
}

#[test]
fn a_member_does_not_wait_for_one_that_goes_as_well_or_uses_the_same_pool() {
    let going = peer("canary", |it| it["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into());
    assert_eq!(waits_for(vec![this(), going, route("canary", &workload("stable"))]), Vec::<String>::new());
    let sharing =
        peer("canary", |it| it["spec"]["router"]["scheduler"] = json!({"pool": {"ref": {"name": "mine"}}}));
    assert_eq!(waits_for(vec![this(), sharing, route("canary", &pool("mine"))]), Vec::<String>::new());
}
