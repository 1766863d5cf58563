use std::sync::Arc;

use llmd_api::serving::v1alpha2::LLMInferenceService;
use serde_json::json;

use super::*;

fn object(version: u32, replicas: u32) -> DynamicObject {
    let object = json!({
        "metadata": {"namespace": "team", "name": "chat", "uid": "1", "resourceVersion": version.to_string(),
                     "managedFields": [{"manager": "somebody"}]},
        "spec": {"replicas": replicas},
    });
    serde_json::from_value(object).unwrap()
}

fn typed(version: u32, replicas: u32) -> LLMInferenceService {
    parse(object(version, replicas)).unwrap()
}

fn replicas(store: &Store<LLMInferenceService>) -> Option<i32> {
    store.get(&Key::new("team", "chat"))?.spec.workload.replicas
}

/// A store that has seen `events`, and how often they changed something.
fn after(events: Vec<Event<DynamicObject>>, written: Option<LLMInferenceService>) -> (Option<i32>, usize) {
    let store = Arc::new(Store::<LLMInferenceService>::default());
    let mut changes = 0;
    let mut sink = Objects::new(Arc::clone(&store), |_: Option<&_>, _: Option<&_>| changes += 1);
    let mut events = events.into_iter();
    events.by_ref().take(1).for_each(|it| sink.take(it));
    if let Some(written) = written {
        store.written(&Key::new("team", "chat"), written);
    }
    events.for_each(|it| sink.take(it));
    drop(sink);
    (replicas(&store), changes)
}

#[test]
fn what_was_written_is_known_at_once_and_its_event_changes_nothing() {
    assert_eq!(after(vec![Event::Apply(object(5, 1))], Some(typed(6, 2))), (Some(2), 1));
    let echo = vec![Event::Apply(object(5, 1)), Event::Apply(object(6, 2))];
    assert_eq!(after(echo, Some(typed(6, 2))), (Some(2), 1));
}

#[test]
fn an_event_from_before_the_write_does_not_undo_it() {
    let late = vec![Event::Apply(object(5, 1)), Event::Apply(object(6, 7))];
    assert_eq!(after(late, Some(typed(7, 2))), (Some(2), 1));
}

#[test]
fn a_write_does_not_undo_what_the_watch_has_brought_since() {
    assert_eq!(after(vec![Event::Apply(object(9, 7))], Some(typed(8, 2))), (Some(7), 1));
    let events = vec![Event::Delete(object(9, 7))];
    assert_eq!(after(events, Some(typed(8, 2))).0, None);
}

#[test]
fn another_object_of_the_same_name_follows_whatever_its_version() {
    let mut reborn = object(3, 4);
    reborn.metadata.uid = Some("2".to_owned());
    assert_eq!(after(vec![Event::Apply(object(5, 1)), Event::Apply(reborn)], None), (Some(4), 2));
}

#[test]
fn the_bookkeeping_of_the_api_server_is_not_kept() {
    let store = Store::<LLMInferenceService>::default();
    let key = Key::new("team", "chat");
    store.observe(key.clone(), slim(typed(5, 1)));
    store.written(&key, typed(6, 1));
    assert_eq!(store.get(&key).unwrap().metadata.managed_fields, None);
}
