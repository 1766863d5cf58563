use kube::runtime::watcher::Event;
use llmd_common::kubernetes::watch::Seen;
use serde_json::{Value, json};

use super::*;

fn own_pool() -> OwnPool {
    OwnPool { name: "pool".to_owned(), group: PoolApi::V1.group() }
}

fn object(api_version: &str, kind: &str, spec: &Value) -> DynamicObject {
    let metadata = json!({ "name": "o", "creationTimestamp": "1970-01-01T00:00:07Z" });
    serde_json::from_value(
        json!({ "apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec }),
    )
    .unwrap()
}

fn priority(spec: &Value) -> Option<i32> {
    let object = object("llm-d.ai/v1alpha2", "InferenceObjective", spec);
    own_pool().objective(object).1
}

#[test]
fn an_objective_counts_for_the_pool_that_it_names() {
    assert_eq!(priority(&json!({ "priority": -1, "poolRef": { "name": "pool" } })), Some(-1));
    assert_eq!(priority(&json!({ "poolRef": { "name": "pool" } })), Some(0));
    assert_eq!(priority(&json!({ "priority": 1, "poolRef": { "name": "other" } })), None);
    let alpha = json!({ "priority": 1, "poolRef": { "name": "pool", "group": PoolApi::V1Alpha2.group() } });
    assert_eq!(priority(&alpha), None);
    assert_eq!(priority(&json!({ "priority": "high", "poolRef": { "name": "pool" } })), None);
}

#[test]
fn a_rewrite_keeps_its_rules_in_order() {
    let spec = json!({ "poolRef": { "name": "pool" }, "rules": [
        { "matches": [{ "model": { "value": "m" } }],
          "targets": [{ "modelRewrite": "a", "weight": 9 }, { "modelRewrite": "b" }] },
        { "targets": [{ "modelRewrite": "c" }] },
    ] });
    let object = object("llm-d.ai/v1alpha2", "InferenceModelRewrite", &spec);
    let (name, rewrite) = own_pool().rewrite(object);
    let target = |model: &str, weight| Target { model: model.to_owned(), weight };
    let expected = Rewrite {
        name: "o".to_owned(),
        created: 7,
        rules: vec![
            Rule { models: vec!["m".to_owned()], targets: vec![target("a", Some(9)), target("b", None)] },
            Rule { models: vec![], targets: vec![target("c", None)] },
        ],
    };
    assert_eq!((name.as_str(), rewrite), ("o", Some(expected)));
}

#[test]
fn the_current_group_wins_while_it_is_served() {
    fn list(name: &str) -> [Seen<DynamicObject>; 3] {
        let mut object = object("v", "k", &Value::Null);
        object.metadata.name = Some(name.to_owned());
        [Event::Init, Event::InitApply(object), Event::InitDone].map(Seen::Event)
    }
    let reduce = |it: DynamicObject| (it.name_any(), Some(1));
    let names = |known: &Generations<i32>| known.objects().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let mut known = Generations::default();
    for seen in list("legacy") {
        known.legacy.see(seen, reduce);
    }
    assert_eq!(names(&known), ["legacy"]);
    for seen in list("current") {
        known.current.see(seen, reduce);
    }
    assert_eq!(names(&known), ["current"]);
    assert!(!known.current.see(Seen::Failed(String::new()), reduce));
    assert_eq!(names(&known), ["current"], "an API server that is away changes nothing");
    assert!(known.current.see(Seen::NotServed, reduce));
    assert_eq!(names(&known), ["legacy"]);
}
