//! What services own: events of one kind of child become slim records and wake the service they belong to.

use kube::api::DynamicObject;
use kube::runtime::watcher::Event;
use llmd_api::meta;

use super::{Sink, Target};
use crate::children::ChildKind;
use crate::context::Caches;
use crate::live::convert::{live_child, owner_of};

/// Objects of one kind with the label of a service.
#[must_use]
pub fn target(kind: ChildKind) -> Target {
    Target::all(kind.api_resource()).labelled(format!("{}={}", meta::PART_OF, meta::PART_OF_VALUE))
}

/// Keeps the records of one kind.
#[derive(Debug)]
pub struct Children {
    kind: ChildKind,
    caches: Caches,
}

impl Children {
    /// Records of `kind` go into `caches`.
    #[must_use]
    pub const fn new(kind: ChildKind, caches: Caches) -> Self {
        Self { kind, caches }
    }

    fn observe(&self, object: DynamicObject) {
        if owner_of(&object).is_none() {
            return self.forget(object);
        }
        if let Some((service, child)) = live_child(self.kind, object) {
            let concerned = self.caches.live.observe(service, child);
            concerned.into_iter().for_each(|it| self.caches.services_queue.add(it));
        }
    }

    fn forget(&self, object: DynamicObject) {
        let metadata = object.metadata;
        let place = (self.kind, metadata.namespace.unwrap_or_default(), metadata.name.unwrap_or_default());
        if let Some(service) = self.caches.live.forget(&place, metadata.resource_version.as_deref()) {
            self.caches.services_queue.add(service);
        }
    }
}

impl Sink for Children {
    fn take(&mut self, event: Event<DynamicObject>) {
        match event {
            Event::Apply(it) | Event::InitApply(it) => self.observe(it),
            Event::Delete(it) => self.forget(it),
            Event::Init => self.caches.live.begin_list(self.kind),
            Event::InitDone => {
                let lost = self.caches.live.end_list(self.kind);
                lost.into_iter().for_each(|it| self.caches.services_queue.add(it));
            }
        }
    }
}
