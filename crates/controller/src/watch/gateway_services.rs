//! The Services through which gateways are reached inside the cluster: of every Service the ports and one label.

use std::collections::{BTreeSet, HashMap, HashSet};

use kube::ResourceExt;
use kube::api::DynamicObject;
use kube::runtime::watcher::Event;
use parking_lot::RwLock;
use serde_json::Value;

use super::Sink;
use crate::context::Caches;
use crate::index::{Key, Reference};
use crate::llmisvc::facts::routing::{GATEWAY_NAME, GatewayService};

/// What is kept of one Service.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    gateway: Option<String>,
    ports: BTreeSet<i32>,
}

/// Every Service of the cluster.
#[derive(Debug, Default)]
pub struct GatewayServices(RwLock<Records>);

#[derive(Debug, Default)]
struct Records {
    /// By namespace and name.
    services: HashMap<Key, Record>,
    /// Names of the labelled ones, by namespace and gateway.
    by_gateway: HashMap<Key, BTreeSet<String>>,
}

impl GatewayServices {
    /// The Services of `namespace` that belong to `gateway` by label or by name.
    #[must_use]
    pub fn of(&self, namespace: &str, gateway: &str) -> Vec<GatewayService> {
        let records = self.0.read();
        let key = Key::new(namespace, gateway);
        let labelled = records.by_gateway.get(&key).into_iter().flatten();
        let names: BTreeSet<&str> = labelled.map(String::as_str).chain([gateway]).collect();
        let found = names.into_iter().filter_map(|name| {
            let record = records.services.get(&Key::new(namespace, name))?;
            Some(GatewayService {
                name: name.to_owned(),
                labelled: record.gateway.as_deref() == Some(gateway),
                ports: record.ports.clone(),
            })
        });
        found.collect()
    }

    /// Replaces a record. Returns the gateways whose Services are now different.
    fn set(&self, key: &Key, record: Option<Record>) -> Vec<Reference> {
        let mut records = self.0.write();
        if records.services.get(key) == record.as_ref() {
            return Vec::new();
        }
        let before = records.remove(key);
        let labelled = [&before, &record].into_iter().flatten().filter_map(|it| it.gateway.clone());
        let gateways: BTreeSet<_> = labelled.chain([key.name.clone()]).collect();
        if let Some(record) = record {
            records.insert(key, record);
        }
        gateways.into_iter().map(|it| Reference::Gateway(Key::new(&key.namespace, it))).collect()
    }
}

impl Records {
    fn insert(&mut self, key: &Key, record: Record) {
        if let Some(gateway) = &record.gateway {
            let labelled = self.by_gateway.entry(Key::new(&key.namespace, gateway)).or_default();
            labelled.insert(key.name.clone());
        }
        self.services.insert(key.clone(), record);
    }

    fn remove(&mut self, key: &Key) -> Option<Record> {
        let record = self.services.remove(key)?;
        if let Some(gateway) = record.gateway.as_ref().map(|it| Key::new(&key.namespace, it))
            && let Some(labelled) = self.by_gateway.get_mut(&gateway)
        {
            labelled.remove(&key.name);
            if labelled.is_empty() {
                self.by_gateway.remove(&gateway);
            }
        }
        Some(record)
    }
}

/// Keeps the records.
#[derive(Debug)]
pub struct Services {
    caches: Caches,
    listed: HashSet<Key>,
}

impl Services {
    /// Records go into `caches`.
    #[must_use]
    pub fn new(caches: Caches) -> Self {
        Self { caches, listed: HashSet::new() }
    }

    fn set(&self, key: &Key, record: Option<Record>) {
        for gateway in self.caches.gateway_services.set(key, record) {
            self.caches.wake(&gateway);
        }
    }

    fn end_list(&mut self) {
        let listed = std::mem::take(&mut self.listed);
        let known: Vec<_> = self.caches.gateway_services.0.read().services.keys().cloned().collect();
        known.iter().filter(|it| !listed.contains(it)).for_each(|it| self.set(it, None));
    }
}

fn record(object: &DynamicObject) -> Record {
    let ports = object.data.pointer("/spec/ports").and_then(Value::as_array).into_iter().flatten();
    Record {
        gateway: object.labels().get(GATEWAY_NAME).cloned(),
        ports: ports.filter_map(|it| i32::try_from(it.get("port")?.as_i64()?).ok()).collect(),
    }
}

impl Sink for Services {
    fn take(&mut self, event: Event<DynamicObject>) {
        let key = |it: &DynamicObject| Key::new(it.namespace().unwrap_or_default(), it.name_any());
        match event {
            Event::Apply(it) => self.set(&key(&it), Some(record(&it))),
            Event::InitApply(it) => {
                self.set(&key(&it), Some(record(&it)));
                self.listed.insert(key(&it));
            }
            Event::Delete(it) => self.set(&key(&it), None),
            Event::Init => self.listed.clear(),
            Event::InitDone => self.end_list(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(gateway: Option<&str>) -> Option<Record> {
        Some(Record { gateway: gateway.map(str::to_owned), ports: BTreeSet::from([80]) })
    }

    #[test]
    fn a_gateway_has_the_services_with_its_label_and_the_one_with_its_name() {
        let services = GatewayServices::default();
        let names = || -> Vec<_> {
            services.of("gateways", "shared").into_iter().map(|it| (it.name, it.labelled)).collect()
        };
        let key = |name: &str| Key::new("gateways", name);
        services.set(&key("envoy"), record(Some("shared")));
        services.set(&key("shared"), record(None));
        services.set(&key("other"), record(Some("another")));
        assert_eq!(names(), [("envoy".to_owned(), true), ("shared".to_owned(), false)]);
        assert!(services.set(&key("shared"), record(None)).is_empty(), "nothing new");
        let moved = services.set(&key("envoy"), record(Some("another")));
        let expected = ["another", "envoy", "shared"].map(|it| Reference::Gateway(key(it)));
        assert_eq!(moved, expected);
        services.set(&key("shared"), None);
        assert_eq!(names(), []);
    }
}
