//! Objects that services name and whose content nobody caches: their metadata is enough to notice a change.

use kube::Resource;
use kube::api::DynamicObject;
use kube::core::ApiResource;
use kube::runtime::watcher::Event;

use super::services::key_of;
use super::{Sink, Target};
use crate::context::Caches;
use crate::index::{Key, Reference};

/// The metadata of every object of the kind.
#[must_use]
pub fn target<K: Resource<DynamicType = ()>>() -> Target {
    Target { metadata_only: true, ..Target::all(ApiResource::erase::<K>(&())) }
}

/// Wakes the services that depend on a changed object.
#[derive(Debug)]
pub struct Changes {
    caches: Caches,
    reference: fn(Key) -> Reference,
}

impl Changes {
    /// Changes of the kind that `reference` refers to.
    #[must_use]
    pub const fn new(caches: Caches, reference: fn(Key) -> Reference) -> Self {
        Self { caches, reference }
    }
}

impl Sink for Changes {
    fn take(&mut self, event: Event<DynamicObject>) {
        match event {
            Event::Apply(it) | Event::InitApply(it) | Event::Delete(it) => {
                self.caches.wake(&(self.reference)(key_of(&it)));
            }
            Event::Init | Event::InitDone => {}
        }
    }
}
