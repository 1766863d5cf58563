use proptest::prelude::*;

use super::*;
use crate::llmisvc::validate::validate;

fn defaulted(mut service: Value, caches: Option<&[LocalModelCache]>) -> Value {
    apply(&mut service, caches);
    service
}

#[expect(clippy::needless_pass_by_value, reason = "literals read better at the call")]
fn service(spec: Value) -> Value {
    json!({"metadata": {"name": "qwen", "namespace": "team"}, "spec": spec})
}

#[test]
fn the_model_is_named_like_the_service_unless_it_has_a_name() {
    let name =
        |model: Value| defaulted(service(json!({"model": model})), None)["spec"]["model"]["name"].clone();
    assert_eq!(name(json!({"uri": "u"})), "qwen");
    assert_eq!(name(json!({"uri": "u", "name": ""})), "qwen");
    assert_eq!(name(json!({"uri": "u", "name": null})), "qwen");
    assert_eq!(name(json!({"uri": "u", "name": "mine"})), "mine");
    assert_eq!(defaulted(service(json!({})), None), service(json!({})), "a model of a config keeps its name");
    let unnamed = json!({"metadata": {"generateName": "q-"}, "spec": {"model": {"uri": "u"}}});
    assert_eq!(defaulted(unnamed.clone(), None), unnamed);
}

#[test]
fn the_label_follows_the_routing_group() {
    let grouped = defaulted(service(json!({"router": {"route": {"group": "canary", "weight": 1}}})), None);
    assert_eq!(grouped["metadata"]["labels"], json!({meta::ROUTING_GROUP: "canary"}));
    let mut left = grouped;
    left["spec"]["router"]["route"] = json!({});
    left["metadata"]["labels"]["mine"] = "kept".into();
    assert_eq!(defaulted(left, None)["metadata"]["labels"], json!({"mine": "kept"}));
}

#[test]
fn templates_without_containers_get_an_empty_list() {
    let spec = json!({
        "template": {"nodeName": "a"},
        "worker": {"containers": null},
        "prefill": {"template": {}, "worker": {"containers": [{"name": "main"}]}},
        "router": {"scheduler": {"template": {}}},
    });
    let expected = json!({
        "template": {"nodeName": "a", "containers": []},
        "worker": {"containers": []},
        "prefill": {"template": {"containers": []}, "worker": {"containers": [{"name": "main"}]}},
        "router": {"scheduler": {"template": {"containers": []}}},
    });
    assert_eq!(defaulted(service(spec), None), service(expected));
}

fn cache(name: &str, namespace: Option<&str>, source_uri: &str, groups: &[&str]) -> LocalModelCache {
    LocalModelCache {
        name: name.to_owned(),
        namespace: namespace.map(str::to_owned),
        source_uri: source_uri.to_owned(),
        node_groups: groups.iter().map(|&it| it.to_owned()).collect(),
    }
}

/// The claim that a service gets, of a model `hf://a/b` and with these annotations.
fn claim(annotations: Value, caches: &[LocalModelCache]) -> Value {
    let mut service = service(json!({"model": {"uri": "hf://a/b"}}));
    service["metadata"]["annotations"] = annotations;
    apply(&mut service, Some(caches));
    service["metadata"]["annotations"][meta::LOCAL_MODEL_CLAIM].clone()
}

#[test]
fn a_cached_model_is_marked_with_its_cache() {
    let marked = defaulted(
        service(json!({"model": {"uri": "hf://a/b/sub"}})),
        Some(&[cache("c", Some("team"), "hf://a/b", &["gpu", "cpu"])]),
    );
    assert_eq!(
        marked["metadata"]["labels"],
        json!({meta::LOCAL_MODEL: "c", meta::LOCAL_MODEL_NAMESPACE: "team"})
    );
    assert_eq!(
        marked["metadata"]["annotations"],
        json!({meta::LOCAL_MODEL_SOURCE_URI: "hf://a/b", meta::LOCAL_MODEL_CLAIM: "c-gpu"})
    );
    let unmarked = defaulted(marked.clone(), Some(&[]));
    assert_eq!(
        (&unmarked["metadata"]["labels"], &unmarked["metadata"]["annotations"]),
        (&json!({}), &json!({}))
    );
    assert_eq!(defaulted(marked.clone(), None), marked, "without the feature nothing is touched");
}

#[test]
fn the_cache_of_the_namespace_wins_over_that_of_the_cluster() {
    let caches = [cache("cluster", None, "hf://a/b", &["g"]), cache("own", Some("team"), "hf://a", &["g"])];
    assert_eq!(claim(json!({}), &caches), "own-g");
    let foreign =
        [cache("cluster", None, "hf://a/b", &["g"]), cache("own", Some("other"), "hf://a/b", &["g"])];
    assert_eq!(claim(json!({}), &foreign), "cluster-g");
    let closest = [cache("a", None, "hf://a", &["g"]), cache("b", None, "hf://a/b/", &["g"])];
    assert_eq!(claim(json!({}), &closest), "b-g");
}

#[test]
fn only_the_source_and_what_is_below_it_is_cached() {
    for (source, expected) in [
        ("hf://a/b", json!("c-g")),
        ("hf://a", json!("c-g")),
        ("hf://a/bc", Value::Null),
        ("hf://a/", json!("c-g")),
    ] {
        assert_eq!(claim(json!({}), &[cache("c", None, source, &["g"])]), expected, "{source}");
    }
    assert_eq!(claim(json!({}), &[cache("c", None, "hf://a/b", &[])]), Value::Null, "no group holds it");
}

#[test]
fn annotations_choose_the_group_or_forbid_caches() {
    let caches = [cache("a", None, "hf://a/b", &["x"]), cache("b", None, "hf://a/b", &["x", "y"])];
    assert_eq!(claim(json!({meta::NODE_GROUP: "y"}), &caches), "b-y");
    assert_eq!(claim(json!({meta::NODE_GROUP: "z"}), &caches), Value::Null);
    assert_eq!(claim(json!({meta::DISABLE_LOCAL_MODEL: ""}), &caches), Value::Null);
}

#[test]
fn caches_are_read_from_their_objects() {
    let read = |object: Value| LocalModelCache::from_object(&serde_json::from_value(object).unwrap());
    assert_eq!(
        read(json!({"metadata": {"name": "c"}, "spec": {"sourceModelUri": "hf://a", "nodeGroups": ["g"]}})),
        Some(cache("c", None, "hf://a", &["g"]))
    );
    assert_eq!(read(json!({"metadata": {"name": "c"}, "spec": {"nodeGroups": ["g"]}})), None);
}

/// Specs of services, valid and not, with every field that defaulting reads.
fn specs() -> impl Strategy<Value = Value> {
    let model = prop_oneof![
        Just(json!(null)),
        Just(json!({"uri": "hf://a/b"})),
        Just(json!({"uri": "hf://a/b", "name": ""})),
        Just(json!({"uri": "pvc://c", "name": "mine"})),
    ];
    let template = prop_oneof![
        Just(json!(null)),
        Just(json!({})),
        Just(json!({"containers": null})),
        Just(json!({"containers": [{"name": "main"}]})),
    ];
    let group = prop_oneof![Just(json!(null)), Just(json!("")), Just(json!("canary"))];
    let parallelism = prop_oneof![Just(json!(null)), Just(json!({"pipeline": 2}))];
    (model, template.clone(), template.clone(), template, group, parallelism, any::<bool>()).prop_map(
        |(model, main, worker, prefill, group, parallelism, weight)| {
            json!({
                "model": model,
                "template": main,
                "worker": worker,
                "parallelism": parallelism,
                "prefill": {"template": prefill},
                "router": {"route": {"group": group, "weight": weight.then_some(1)}},
            })
        },
    )
}

proptest! {
    #[test]
    fn defaulting_twice_changes_nothing_and_a_valid_service_stays_valid(spec in specs(), cached: bool) {
        let caches = [cache("c", None, "hf://a", &["g"])];
        let caches = cached.then_some(caches.as_slice());
        let before = service(spec);
        let once = defaulted(before.clone(), caches);
        prop_assert_eq!(&defaulted(once.clone(), caches), &once);
        let errors = |it: &Value| validate(&serde_json::from_value(it.clone()).unwrap(), None).errors;
        prop_assert_eq!(errors(&before), errors(&once));
    }
}
