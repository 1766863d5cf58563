//! Typed caches: whole objects of the kinds that are read rather than owned.
//!
//! Bookkeeping of the API server is dropped on arrival, so an event that changes nothing else wakes nobody. What a write
//! of this process returned goes into the cache at once, so the next decision does not rest on the state before it, and
//! the event that repeats it later changes nothing.

use std::collections::{BTreeMap, HashSet};
use std::fmt::{self, Debug};
use std::sync::Arc;

use kube::api::DynamicObject;
use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};
use parking_lot::RwLock;
use serde::de::DeserializeOwned;

use super::{Sink, parse};
use crate::index::Key;

/// A kind that can be cached.
pub trait Cached:
    Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + PartialEq + Send + Sync + 'static
{
}

impl<K> Cached for K where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + PartialEq + Send + Sync + 'static
{
}

/// Objects of one kind by namespace and name; those of cluster-scoped kinds have an empty namespace.
#[derive(Debug)]
pub struct Store<K>(RwLock<BTreeMap<Key, Arc<K>>>);

impl<K> Default for Store<K> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<K> Store<K> {
    /// The object of this name.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.0.read().get(key).cloned()
    }

    /// Every object of a namespace, sorted by name.
    #[must_use]
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        let objects = self.0.read();
        let from = objects.range(Key::new(namespace, "")..);
        from.take_while(|(key, _)| key.namespace == namespace).map(|(_, it)| Arc::clone(it)).collect()
    }

    /// Every object, sorted by namespace and name.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<K>> {
        self.0.read().values().cloned().collect()
    }

    /// The names of every object.
    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        self.0.read().keys().cloned().collect()
    }

    /// Forgets every object.
    pub fn clear(&self) {
        self.0.write().clear();
    }

    fn remove(&self, key: &Key) -> Option<Arc<K>> {
        self.0.write().remove(key)
    }
}

impl<K: Cached> Store<K> {
    /// Takes in what a write of this process returned. Returns the states before and after, or `None` when the watch
    /// has already brought this state, a later one, or the object's end.
    pub fn written(&self, key: &Key, object: K) -> Option<(Arc<K>, Arc<K>)> {
        let mut objects = self.0.write();
        let known = objects.get_mut(key)?;
        if known.meta().uid != object.meta().uid || version(&**known) >= version(&object) {
            return None;
        }
        let after = Arc::new(slim(object));
        Some((std::mem::replace(known, Arc::clone(&after)), after))
    }

    /// Takes in a state from the watch, unless the known one is later. Returns the states before and after when they
    /// differ in more than the resource version.
    fn observe(&self, key: Key, mut object: K) -> Option<(Option<Arc<K>>, Arc<K>)> {
        let mut objects = self.0.write();
        let mut is_same = false;
        if let Some(known) = objects.get(&key) {
            if known.meta().uid == object.meta().uid && version(&**known) > version(&object) {
                return None;
            }
            let version = object.meta_mut().resource_version.take();
            object.meta_mut().resource_version.clone_from(&known.meta().resource_version);
            is_same = **known == object;
            object.meta_mut().resource_version = version;
        }
        let after = Arc::new(object);
        let before = objects.insert(key, Arc::clone(&after));
        (!is_same).then_some((before, after))
    }
}

/// Resource versions of one kind are numbers that grow.
fn version(object: &impl Resource) -> u64 {
    let version = object.meta().resource_version.as_deref();
    version.and_then(|it| it.parse().ok()).unwrap_or_default()
}

/// Fills a store and tells `changed` of each object that differs from what was known, with the state before and
/// after.
pub struct Objects<K, F> {
    store: Arc<Store<K>>,
    listed: HashSet<Key>,
    changed: F,
}

impl<K, F> Debug for Objects<K, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Objects").finish_non_exhaustive()
    }
}

impl<K: Cached, F: FnMut(Option<&K>, Option<&K>) + Send> Objects<K, F> {
    /// Fills `store`.
    pub fn new(store: Arc<Store<K>>, changed: F) -> Self {
        Self { store, listed: HashSet::new(), changed }
    }

    fn observe(&mut self, key: Key, object: DynamicObject) {
        let Some(object) = parse(object) else { return };
        if let Some((before, after)) = self.store.observe(key, slim(object)) {
            (self.changed)(before.as_deref(), Some(&after));
        }
    }

    fn forget(&mut self, key: &Key) {
        if let Some(before) = self.store.remove(key) {
            (self.changed)(Some(&before), None);
        }
    }
}

/// The object without what nobody reads and what may be large.
fn slim<K: Cached>(mut object: K) -> K {
    object.meta_mut().managed_fields = None;
    object.annotations_mut().remove("kubectl.kubernetes.io/last-applied-configuration");
    object
}

impl<K: Cached, F: FnMut(Option<&K>, Option<&K>) + Send> Sink for Objects<K, F> {
    fn take(&mut self, event: Event<DynamicObject>) {
        let key = |it: &DynamicObject| Key::new(it.namespace().unwrap_or_default(), it.name_any());
        match event {
            Event::Apply(it) => self.observe(key(&it), it),
            Event::InitApply(it) => {
                self.listed.insert(key(&it));
                self.observe(key(&it), it);
            }
            Event::Delete(it) => self.forget(&key(&it)),
            Event::Init => self.listed.clear(),
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                let gone = self.store.keys().into_iter().filter(|it| !listed.contains(it));
                gone.for_each(|it| self.forget(&it));
            }
        }
    }
}

#[cfg(test)]
mod tests;
