//! Who depends on what: from a referenced object to the services that must be looked at when it changes.
//!
//! Each reconcile replaces its service's references, so an event costs one lookup instead of combining every service
//! again.

use std::collections::{BTreeSet, HashMap};

use parking_lot::RwLock;

pub mod neighbours;

/// Namespace and name of a namespaced object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub namespace: String,
    pub name: String,
}

impl Key {
    /// The object `namespace`/`name`.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Something that services depend on without owning it. It need not exist.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    Config(Key),
    /// Whatever config changes.
    AnyConfig,
    ConfigMap(Key),
    ServiceAccount(Key),
    Secret(Key),
    Gateway(Key),
    /// Cluster-scoped.
    GatewayClass(String),
    Route(Key),
    Pool(Key),
    /// A routing group: the namespace and the group's name.
    Group(Key),
}

/// References of services, both ways round.
#[derive(Debug, Default)]
pub struct Index(RwLock<Maps>);

#[derive(Debug, Default)]
struct Maps {
    references: HashMap<Key, BTreeSet<Reference>>,
    services: HashMap<Reference, BTreeSet<Key>>,
}

impl Index {
    /// Replaces what `service` depends on; an empty set forgets the service.
    pub fn set(&self, service: &Key, references: BTreeSet<Reference>) {
        let mut maps = self.0.write();
        let Maps { references: by_service, services: by_reference } = &mut *maps;
        for stale in by_service.remove(service).into_iter().flatten() {
            if let Some(services) = by_reference.get_mut(&stale) {
                services.remove(service);
                if services.is_empty() {
                    by_reference.remove(&stale);
                }
            }
        }
        for reference in &references {
            by_reference.entry(reference.clone()).or_default().insert(service.clone());
        }
        if !references.is_empty() {
            by_service.insert(service.clone(), references);
        }
    }

    /// Adds to what `service` depends on, until the next [`Self::set`].
    pub fn extend(&self, service: &Key, references: BTreeSet<Reference>) {
        let mut maps = self.0.write();
        let Maps { references: by_service, services: by_reference } = &mut *maps;
        for reference in references {
            by_reference.entry(reference.clone()).or_default().insert(service.clone());
            by_service.entry(service.clone()).or_default().insert(reference);
        }
    }

    /// Forgets every service.
    pub fn clear(&self) {
        *self.0.write() = Maps::default();
    }

    /// The services that depend on `reference`.
    #[must_use]
    pub fn services(&self, reference: &Reference) -> Vec<Key> {
        self.0.read().services.get(reference).into_iter().flatten().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_follow_their_latest_references() {
        let index = Index::default();
        let [a, b] = ["a", "b"].map(|it| Key::new("team", it));
        let gateway = Reference::Gateway(Key::new("gateways", "shared"));
        let config = Reference::Config(Key::new("team", "base"));
        index.set(&a, BTreeSet::from([gateway.clone(), config.clone()]));
        index.set(&b, BTreeSet::from([gateway.clone()]));
        assert_eq!(index.services(&gateway), [a.clone(), b.clone()]);
        index.set(&a, BTreeSet::from([config.clone()]));
        assert_eq!(index.services(&gateway), std::slice::from_ref(&b));
        let secret = Reference::Secret(Key::new("team", "minio"));
        index.extend(&a, BTreeSet::from([secret.clone()]));
        assert_eq!(index.services(&secret), std::slice::from_ref(&a));
        assert_eq!(index.services(&config), std::slice::from_ref(&a));
        for service in [&a, &b] {
            index.set(service, BTreeSet::new());
        }
        assert!(index.0.read().services.is_empty() && index.0.read().references.is_empty());
    }
}
