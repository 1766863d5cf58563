use std::sync::Arc;

use serde_json::json;

use super::super::objects::Objects;
use super::*;

fn route_object(version: u32, is_child: bool) -> DynamicObject {
    let labels =
        json!({"app.kubernetes.io/part-of": "llminferenceservice", "app.kubernetes.io/name": "chat"});
    let mut object = json!({
        "metadata": {"namespace": "team", "name": "route", "uid": "1", "generation": 3,
                     "resourceVersion": version.to_string()},
        "spec": {"parentRefs": [{"name": "gateway"}]},
        "status": {"parents": []},
    });
    if is_child {
        object["metadata"]["labels"] = labels;
    }
    serde_json::from_value(object).unwrap()
}

fn sink(caches: &Caches) -> impl Sink {
    let others = Objects::new(Arc::clone(&caches.routes), |_: Option<&HTTPRoute>, _: Option<&HTTPRoute>| ());
    Divided::new(ChildKind::HttpRoute, caches, others, Reference::Route)
}

/// In which of the caches the route is: users' own, services'.
fn places(caches: &Caches) -> (bool, bool) {
    let key = Key::new("team", "route");
    (caches.routes.get(&key).is_some(), child(caches, ChildKind::HttpRoute, &key).is_some())
}

#[test]
fn a_route_is_held_once_and_moves_with_its_labels() {
    let caches = Caches::default();
    let mut sink = sink(&caches);
    let key = Key::new("team", "route");
    for (version, is_child) in [(1, false), (2, true), (3, false), (4, true)] {
        sink.take(Event::Apply(route_object(version, is_child)));
        assert_eq!(places(&caches), (!is_child, is_child));
        let found = route(&caches, &key).unwrap();
        assert_eq!(found.spec.parent_refs[0].name, "gateway");
        assert_eq!(found.metadata.generation, Some(3));
    }
    sink.take(Event::Delete(route_object(5, true)));
    assert_eq!(places(&caches), (false, false));
}

#[test]
fn what_a_list_does_not_name_is_gone_from_both_caches() {
    for is_child in [false, true] {
        let caches = Caches::default();
        let mut sink = sink(&caches);
        sink.take(Event::Apply(route_object(1, is_child)));
        sink.take(Event::Init);
        sink.take(Event::InitDone);
        assert_eq!(places(&caches), (false, false));
    }
}

#[test]
fn services_that_refer_to_a_route_are_woken_whosever_it_is() {
    for is_child in [false, true] {
        let caches = Caches::default();
        let reference = Reference::Route(Key::new("team", "route"));
        caches.index.set(&Key::new("team", "user"), std::collections::BTreeSet::from([reference]));
        sink(&caches).take(Event::Apply(route_object(1, is_child)));
        assert_eq!(caches.services_queue.depth(), usize::from(is_child) + 1);
    }
}
