//! Pods of services: only their addresses are kept, for the certificates that name them.

use std::collections::HashSet;

use k8s_openapi::api::core::v1;
use kube::ResourceExt;
use kube::api::DynamicObject;
use kube::core::ApiResource;
use kube::runtime::watcher::Event;
use llmd_api::meta::{self, component};

use super::{Sink, Target};
use crate::context::Caches;
use crate::index::Key;
use crate::live::convert::{PodStatus, service_of};
use crate::live::store::Pod;

/// Pods with the label of a service, without those of endpoint pickers.
#[must_use]
pub fn target() -> Target {
    let (part_of, services) = (meta::PART_OF, meta::PART_OF_VALUE);
    let (component, scheduler) = (meta::COMPONENT, component::ROUTER_SCHEDULER);
    Target::all(ApiResource::erase::<v1::Pod>(&()))
        .labelled(format!("{part_of}={services},{component}!={scheduler}"))
}

/// Keeps the addresses of pods.
#[derive(Debug)]
pub struct Pods {
    caches: Caches,
    listed: HashSet<Key>,
}

impl Pods {
    /// Addresses go into `caches`.
    #[must_use]
    pub fn new(caches: Caches) -> Self {
        Self { caches, listed: HashSet::new() }
    }

    fn observe(&self, name: Key, object: &DynamicObject) {
        let Some(service) = service_of(&object.metadata) else { return };
        let status: PodStatus = object
            .data
            .get("status")
            .cloned()
            .and_then(|it| serde_json::from_value(it).ok())
            .unwrap_or_default();
        let addresses = status.pod_ips.iter().filter_map(|it| it.ip.parse().ok()).collect();
        if let Some(service) = self.caches.live.observe_pod(name, Pod { service, addresses }) {
            self.caches.services_queue.add(service);
        }
    }
}

impl Sink for Pods {
    fn take(&mut self, event: Event<DynamicObject>) {
        let name = |it: &DynamicObject| Key::new(it.namespace().unwrap_or_default(), it.name_any());
        match event {
            Event::Apply(it) => self.observe(name(&it), &it),
            Event::InitApply(it) => {
                self.listed.insert(name(&it));
                self.observe(name(&it), &it);
            }
            Event::Delete(it) => self.caches.live.forget_pod(&name(&it)),
            Event::Init => self.listed.clear(),
            Event::InitDone => self.caches.live.retain_pods(&std::mem::take(&mut self.listed)),
        }
    }
}
