//! Who has to be looked at when a service, a config, or an object they refer to changes.

use std::collections::BTreeSet;

use kube::ResourceExt;
use llmd_api::serving::v1alpha2::{LLMInferenceService, LLMInferenceServiceConfig};

use crate::context::Caches;
use crate::index::{Key, Reference};
use crate::llmisvc::render::router::group;

/// Namespace and name of an object.
pub fn key_of(object: &impl ResourceExt) -> Key {
    Key::new(object.namespace().unwrap_or_default(), object.name_any())
}

/// A service changed: it and whoever it concerns. If something else is wanted of it, it is tried as if it had never
/// failed: one whose namespace goes fails again and again until it goes too, and its end must not wait as long as the
/// attempt before it had to.
pub fn service_changed(
    caches: &Caches,
    before: Option<&LLMInferenceService>,
    after: Option<&LLMInferenceService>,
) {
    let Some(service) = after.or(before).map(key_of) else { return };
    if wish(before) != wish(after) {
        caches.services_queue.forgive(&service);
    }
    caches.services_queue.add(service.clone());
    surroundings_changed(caches, &service, before, after);
}

/// What is wanted of a service. Its status is what became of that, and often this process's own word.
fn wish(service: Option<&LLMInferenceService>) -> impl PartialEq {
    let metadata = service.map(|it| &it.metadata);
    metadata.map(|it| (it.generation, &it.deletion_timestamp, &it.annotations))
}

/// What a changed service concerns besides itself: its neighbours in the routing group, and the configs it began or
/// ceased to use.
pub fn surroundings_changed(
    caches: &Caches,
    service: &Key,
    before: Option<&LLMInferenceService>,
    after: Option<&LLMInferenceService>,
) {
    caches.neighbours.refresh(service, || caches.service(service));
    for group in [before, after].into_iter().flatten().filter_map(group_of).collect::<BTreeSet<_>>() {
        let members = caches.index.services(&Reference::Group(group));
        members.into_iter().filter(|it| it != service).for_each(|it| caches.services_queue.add(it));
    }
    let (used_before, used_after) = (applied_configs(before), applied_configs(after));
    for config in used_before.symmetric_difference(&used_after) {
        caches.config_users_changed(config.clone());
    }
}

/// A config changed: it, and every service that uses it or misses it.
pub fn config_changed(
    caches: &Caches,
    before: Option<&LLMInferenceServiceConfig>,
    after: Option<&LLMInferenceServiceConfig>,
) {
    let Some(config) = after.or(before).map(key_of) else { return };
    caches.configs_queue.add(config.clone());
    let is_other_spec = before.map(|it| &it.spec) != after.map(|it| &it.spec);
    if is_other_spec {
        caches.wake(&Reference::Config(config));
        caches.wake(&Reference::AnyConfig);
    }
}

fn group_of(service: &LLMInferenceService) -> Option<Key> {
    let group = group::group_of(service)?;
    Some(Key::new(service.namespace().unwrap_or_default(), group))
}

/// The configs that a service's status names.
#[must_use]
pub fn applied_configs(service: Option<&LLMInferenceService>) -> BTreeSet<Key> {
    let status = service.and_then(|it| it.status.as_ref());
    status
        .into_iter()
        .flat_map(|it| &it.applied_configs)
        .map(|it| Key::new(&it.namespace, &it.name))
        .collect()
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use serde_json::{Value, json};

    use super::*;

    fn service(metadata: &Value) -> LLMInferenceService {
        let mut object = json!({"metadata": metadata, "spec": {}});
        object["metadata"]["namespace"] = "team".into();
        serde_json::from_value(object).unwrap()
    }

    #[tokio::test]
    async fn a_service_of_which_something_else_is_wanted_is_tried_as_if_it_had_never_failed() {
        let (caches, key) = (Caches::default(), Key::new("team", "chat"));
        for _ in 0..20 {
            caches.services_queue.retry(key.clone());
        }
        let live = service(&json!({"name": "chat", "resourceVersion": "1"}));
        let told = service(&json!({"name": "chat", "resourceVersion": "2"}));
        service_changed(&caches, Some(&live), Some(&told));
        assert_eq!(caches.services_queue.failures(&key), 20);
        let going = service(&json!({"name": "chat", "deletionTimestamp": "2026-01-01T00:00:00Z"}));
        service_changed(&caches, Some(&told), Some(&going));
        assert_eq!(caches.services_queue.next().now_or_never().unwrap().key(), &key);
        assert_eq!(caches.services_queue.failures(&key), 0);
    }
}
