//! Caches of models on nodes, which admission looks up.

use std::collections::BTreeMap;

use kube::ResourceExt;
use kube::api::DynamicObject;
use kube::runtime::watcher::Event;
use parking_lot::RwLock;

use super::Sink;
use crate::context::Caches;
use crate::index::Key;
use crate::webhook::LocalModelCache;

/// Every cache of one kind, by namespace and name; those of the cluster have an empty namespace.
#[derive(Debug, Default)]
pub struct LocalModels(RwLock<BTreeMap<Key, LocalModelCache>>);

impl LocalModels {
    /// The caches of `namespace`, or with an empty one those of the cluster.
    #[must_use]
    pub fn in_namespace(&self, namespace: &str) -> Vec<LocalModelCache> {
        let caches = self.0.read();
        let from = caches.range(Key::new(namespace, "")..);
        from.take_while(|(key, _)| key.namespace == namespace).map(|(_, it)| it.clone()).collect()
    }
}

/// Which of the two kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    Cluster,
    Namespace,
}

/// Keeps the caches of one kind.
#[derive(Debug)]
pub struct Models {
    scope: Scope,
    caches: Caches,
    listed: BTreeMap<Key, LocalModelCache>,
}

impl Models {
    /// Models go into `caches`.
    #[must_use]
    pub const fn new(scope: Scope, caches: Caches) -> Self {
        Self { scope, caches, listed: BTreeMap::new() }
    }

    /// Forgets every cache of `scope`.
    pub fn clear(scope: Scope, caches: &Caches) {
        Self::new(scope, caches.clone()).replace();
    }

    /// Replaces what is known of the kind by what was listed.
    fn replace(&mut self) {
        let mut known = self.caches.local_models.0.write();
        known.retain(|key, _| key.namespace.is_empty() != (self.scope == Scope::Cluster));
        known.append(&mut self.listed);
    }
}

fn read(object: &DynamicObject) -> (Key, Option<LocalModelCache>) {
    let key = Key::new(object.namespace().unwrap_or_default(), object.name_any());
    (key, LocalModelCache::from_object(object))
}

impl Sink for Models {
    fn take(&mut self, event: Event<DynamicObject>) {
        match event {
            Event::Apply(it) => {
                let (key, model) = read(&it);
                let mut known = self.caches.local_models.0.write();
                match model {
                    Some(model) => drop(known.insert(key, model)),
                    None => drop(known.remove(&key)),
                }
            }
            Event::InitApply(it) => {
                let (key, model) = read(&it);
                self.listed.extend(model.map(|it| (key, it)));
            }
            Event::Delete(it) => drop(self.caches.local_models.0.write().remove(&read(&it).0)),
            Event::Init => self.listed.clear(),
            Event::InitDone => self.replace(),
        }
    }
}
