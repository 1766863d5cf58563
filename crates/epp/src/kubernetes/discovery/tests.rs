use kube::runtime::watcher::Event;
use serde_json::{Value, json};

use super::*;

fn of_pool() -> Discovery {
    Discovery::new(&Scope::Pool { name: "pool".to_owned(), api: PoolApi::V1 }, "ns")
}

fn pool(app: &str, ports: &[u16]) -> DynamicObject {
    let ports: Vec<Value> = ports.iter().map(|it| json!({ "number": it })).collect();
    let resource = PoolApi::V1.resource();
    serde_json::from_value(json!({
        "apiVersion": resource.api_version, "kind": resource.kind, "metadata": { "name": "pool" },
        "spec": { "selector": { "matchLabels": { "app": app } }, "targetPorts": ports },
    }))
    .unwrap()
}

fn pod(name: &str, is_ready: bool) -> PodObject {
    let status = if is_ready { "True" } else { "False" };
    serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name }, "spec": {},
        "status": { "podIP": "10.0.0.1", "conditions": [{ "type": "Ready", "status": status }] },
    }))
    .unwrap()
}

fn list_pools(discovery: &mut Discovery, pools: Vec<DynamicObject>) {
    for seen in list(pools) {
        discovery.take_pool(seen);
    }
}

fn list_pods(discovery: &mut Discovery, pods: Vec<PodObject>) {
    for seen in list(pods) {
        discovery.take_pod(seen);
    }
}

/// A complete list.
fn list<K>(objects: Vec<K>) -> impl Iterator<Item = Seen<K>> {
    let objects = objects.into_iter().map(Event::InitApply);
    std::iter::once(Event::Init).chain(objects).chain([Event::InitDone]).map(Seen::Event)
}

fn names(discovery: &Discovery) -> Vec<String> {
    discovery.endpoints().into_iter().map(|it| format!("{}:{}", it.name, it.address.port())).collect()
}

#[test]
fn a_pool_that_comes_late_is_waited_for_by_name() {
    let mut discovery = of_pool();
    assert_eq!(discovery.missing().unwrap(), "the pool is being read");
    discovery.take_pool(Seen::NotServed);
    let missing = "the API server does not serve InferencePools of inference.networking.k8s.io";
    assert_eq!(discovery.missing().unwrap(), missing);
    list_pools(&mut discovery, vec![]);
    let missing = "there is no InferencePool ns/pool of inference.networking.k8s.io";
    assert_eq!(discovery.missing().unwrap(), missing);
    assert_eq!(discovery.selector(), None);
    assert!(discovery.take_pool(Seen::Event(Event::Apply(pool("qwen", &[8000])))));
    assert_eq!(discovery.selector(), Some("app=qwen"));
    assert_eq!(discovery.missing().unwrap(), "the pods are being listed");
    list_pods(&mut discovery, vec![pod("a", true), pod("b", false)]);
    assert_eq!((discovery.missing(), names(&discovery)), (None, vec!["a-rank-0:8000".to_owned()]));
}

fn serving() -> Discovery {
    let mut discovery = of_pool();
    list_pools(&mut discovery, vec![pool("qwen", &[8000])]);
    list_pods(&mut discovery, vec![pod("a", true)]);
    discovery
}

#[test]
fn pods_come_and_go_by_their_readiness() {
    let mut discovery = serving();
    assert!(discovery.take_pod(Seen::Event(Event::Apply(pod("b", true)))));
    assert_eq!(names(&discovery), ["a-rank-0:8000", "b-rank-0:8000"]);
    assert!(discovery.take_pod(Seen::Event(Event::Apply(pod("a", false)))));
    assert!(!discovery.take_pod(Seen::Event(Event::Apply(pod("a", false)))), "nothing changed");
    assert_eq!(names(&discovery), ["b-rank-0:8000"]);
    assert!(discovery.take_pod(Seen::Event(Event::Delete(pod("b", true)))));
    assert_eq!((discovery.missing(), names(&discovery)), (None, vec![]), "an empty pool is synced");
}

#[test]
fn ports_change_at_once_and_a_selector_when_its_pods_are_listed() {
    let mut discovery = serving();
    assert!(discovery.take_pool(Seen::Event(Event::Apply(pool("qwen", &[9000, 9001])))));
    assert_eq!(names(&discovery), ["a-rank-0:9000", "a-rank-1:9001"]);
    discovery.take_pool(Seen::Event(Event::Apply(pool("llama", &[9000]))));
    assert_eq!(discovery.selector(), Some("app=llama"));
    assert_eq!(names(&discovery), ["a-rank-0:9000"]);
    list_pods(&mut discovery, vec![pod("c", true)]);
    assert_eq!(names(&discovery), ["c-rank-0:9000"]);
}

#[test]
fn failures_leave_what_was_known() {
    let mut discovery = serving();
    discovery.take_pool(Seen::Failed("connection refused".to_owned()));
    discovery.take_pod(Seen::Failed("connection refused".to_owned()));
    assert_eq!((discovery.missing(), names(&discovery)), (None, vec!["a-rank-0:8000".to_owned()]));
}

#[test]
fn a_failure_before_the_first_list_is_the_reason() {
    let mut discovery = of_pool();
    discovery.take_pool(Seen::Failed("pools are forbidden".to_owned()));
    assert_eq!(discovery.missing().unwrap(), "pools are forbidden");
    list_pools(&mut discovery, vec![pool("qwen", &[8000])]);
    discovery.take_pod(Seen::Failed("pods are forbidden".to_owned()));
    assert_eq!(discovery.missing().unwrap(), "pods are forbidden");
}

#[test]
fn a_deleted_pool_has_no_endpoints_and_a_new_one_does_not_inherit_them() {
    let mut discovery = serving();
    assert!(discovery.take_pool(Seen::Event(Event::Delete(pool("qwen", &[8000])))));
    assert_eq!(names(&discovery), [""; 0]);
    assert!(discovery.missing().unwrap().starts_with("there is no InferencePool"));
    discovery.take_pool(Seen::Event(Event::Apply(pool("qwen", &[8000]))));
    assert_eq!(names(&discovery), [""; 0]);
}

#[test]
fn without_a_pool_flags_say_what_to_watch() {
    let scope = Scope::Selector { selector: "app in (a,b)".to_owned(), ports: vec![8000] };
    let mut discovery = Discovery::new(&scope, "ns");
    assert_eq!(discovery.selector(), Some("app in (a,b)"));
    list_pods(&mut discovery, vec![pod("a", true)]);
    assert_eq!((discovery.missing(), names(&discovery)), (None, vec!["a-rank-0:8000".to_owned()]));
}
