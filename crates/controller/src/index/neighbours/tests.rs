use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// One state of a service: its name, model, group, and whether it goes.
type State = (u8, u8, Option<u8>, bool);

fn service((name, model, group, goes): State) -> Arc<LLMInferenceService> {
    let mut object = json!({
        "metadata": {"name": format!("service-{name:02}"), "namespace": "team"},
        "spec": {
            "model": {"uri": "hf://org/tiny", "name": format!("model-{model}")},
            "router": {"route": {"group": group.map(|it| format!("group-{it}"))}},
        },
    });
    if goes {
        object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    }
    serde_json::from_value(object).unwrap()
}

fn states() -> impl Strategy<Value = Vec<State>> {
    let state = (0..12_u8, 0..2_u8, prop::option::of(0..2_u8), prop::bool::weighted(0.2));
    prop::collection::vec(state, 0..40)
}

proptest! {
    /// Services that change again and again, come and go, are found as a look at every one of them would find them.
    #[test]
    fn the_index_finds_what_a_scan_finds(states in states(), gone in prop::collection::vec(0..12_u8, 0..4)) {
        let index = Neighbours::default();
        let mut all = BTreeMap::new();
        for state in states {
            let object = service(state);
            let name = object.metadata.name.clone().unwrap();
            index.refresh(&Key::new("team", &name), || Some(Arc::clone(&object)));
            all.insert(name, object);
        }
        for name in gone.into_iter().map(|it| format!("service-{it:02}")) {
            index.refresh(&Key::new("team", &name), || None::<Arc<LLMInferenceService>>);
            all.remove(&name);
        }
        for group in [None, Some("group-0"), Some("group-1")] {
            let models = BTreeSet::from(["model-0".to_owned()]);
            let interest = Interest { namespace: "team", name: "service-03", group, models };
            let scanned = interest.select(all.values().cloned().collect());
            let scanned: BTreeSet<_> = scanned.iter().map(|it| it.metadata.name.clone().unwrap()).collect();
            prop_assert_eq!(index.of(&interest), scanned);
        }
    }
}

#[test]
fn nothing_is_kept_of_services_that_are_gone() {
    let index = Neighbours::default();
    let key = Key::new("team", "service-01");
    index.refresh(&key, || Some(service((1, 0, Some(0), false))));
    index.refresh(&key, || None::<Arc<LLMInferenceService>>);
    let maps = index.0.read();
    assert!(maps.known.is_empty() && maps.groups.is_empty() && maps.models.is_empty());
}
