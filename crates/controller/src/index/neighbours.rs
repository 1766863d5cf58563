//! Which services of a namespace concern each other: members of one routing group, and rivals that answer for the same
//! model. Kept by group and by model, so a service finds its neighbours without looking at all others.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use llmd_api::serving::v1alpha2::LLMInferenceService;
use parking_lot::RwLock;

use super::Key;
use crate::llmisvc::facts::routing::{Interest, MAX_RIVALS};
use crate::llmisvc::render::router::{group, models};

/// Names of services by what they have in common.
#[derive(Debug, Default)]
pub struct Neighbours(RwLock<Maps>);

#[derive(Debug, Default)]
struct Maps {
    known: HashMap<Key, Entry>,
    /// By namespace and group.
    groups: HashMap<Key, BTreeSet<String>>,
    /// By namespace and model: the services with their groups.
    models: HashMap<Key, BTreeMap<String, Option<String>>>,
}

/// What a service has in common with others.
#[derive(Debug, Default, PartialEq, Eq)]
struct Entry {
    group: Option<String>,
    models: BTreeSet<String>,
}

impl Entry {
    /// A service that goes is nobody's rival any more.
    fn of(service: &LLMInferenceService) -> Self {
        let stays = service.metadata.deletion_timestamp.is_none();
        Self {
            group: group::group_of(service).map(str::to_owned),
            models: if stays { models::advertised(service) } else { BTreeSet::new() },
        }
    }
}

impl Neighbours {
    /// Looks at the service `key` again, as `current` has it: it is asked under the lock, so that of two changes at a
    /// time the later one counts.
    pub fn refresh<S: AsRef<LLMInferenceService>>(&self, key: &Key, current: impl FnOnce() -> Option<S>) {
        let mut maps = self.0.write();
        let entry = current().map(|it| Entry::of(it.as_ref()));
        if maps.known.get(key) == entry.as_ref() {
            return;
        }
        maps.remove(key);
        if let Some(entry) = entry {
            maps.insert(key, entry);
        }
    }

    /// Names of the services that concern the one asking: every member of its group, and for each model
    /// the first rivals by name.
    #[must_use]
    pub fn of(&self, it: &Interest<'_>) -> BTreeSet<String> {
        let maps = self.0.read();
        let key = |name: &str| Key::new(it.namespace, name);
        let members = it.group.and_then(|group| maps.groups.get(&key(group))).into_iter().flatten();
        let mut names: BTreeSet<_> = members.filter(|name| *name != it.name).cloned().collect();
        for model in &it.models {
            let rivals = maps.models.get(&key(model)).into_iter().flatten();
            let rivals = rivals.filter(|(name, group)| it.is_rival(name, group.as_deref()));
            names.extend(rivals.take(MAX_RIVALS).map(|(name, _)| name.clone()));
        }
        names
    }
}

impl Maps {
    fn insert(&mut self, key: &Key, entry: Entry) {
        let beside = |name: &str| Key::new(&key.namespace, name);
        if let Some(group) = &entry.group {
            self.groups.entry(beside(group)).or_default().insert(key.name.clone());
        }
        for model in &entry.models {
            self.models.entry(beside(model)).or_default().insert(key.name.clone(), entry.group.clone());
        }
        self.known.insert(key.clone(), entry);
    }

    fn remove(&mut self, key: &Key) {
        let Some(entry) = self.known.remove(key) else { return };
        let beside = |name: &str| Key::new(&key.namespace, name);
        if let Some(group) = entry.group.as_deref().map(beside)
            && let Some(members) = self.groups.get_mut(&group)
        {
            members.remove(&key.name);
            if members.is_empty() {
                self.groups.remove(&group);
            }
        }
        for model in entry.models.iter().map(|it| beside(it)) {
            let Some(services) = self.models.get_mut(&model) else { continue };
            services.remove(&key.name);
            if services.is_empty() {
                self.models.remove(&model);
            }
        }
    }
}

#[cfg(test)]
mod tests;
