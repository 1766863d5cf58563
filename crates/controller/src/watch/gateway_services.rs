//! The Services through which gateways are reached inside the cluster: of every Service the ports and one label.

use std::collections::{BTreeMap, BTreeSet, HashSet};

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

/// Every Service of the cluster, by namespace and name.
#[derive(Debug, Default)]
pub struct GatewayServices(RwLock<BTreeMap<Key, Record>>);

impl GatewayServices {
    /// The Services of `namespace` that belong to `gateway` by label or by name.
    #[must_use]
    pub fn of(&self, namespace: &str, gateway: &str) -> Vec<GatewayService> {
        let records = self.0.read();
        let in_namespace =
            records.range(Key::new(namespace, "")..).take_while(|(key, _)| key.namespace == namespace);
        in_namespace
            .filter_map(|(key, record)| {
                let labelled = record.gateway.as_deref() == Some(gateway);
                (labelled || key.name == gateway).then(|| GatewayService {
                    name: key.name.clone(),
                    labelled,
                    ports: record.ports.clone(),
                })
            })
            .collect()
    }

    /// Replaces a record. Returns the gateways whose Services are now different.
    fn set(&self, key: &Key, record: Option<Record>) -> Vec<Reference> {
        let mut records = self.0.write();
        let before = match &record {
            Some(record) => records.insert(key.clone(), record.clone()),
            None => records.remove(key),
        };
        if before == record {
            return Vec::new();
        }
        let labelled = [before, record].into_iter().flatten().filter_map(|it| it.gateway);
        let gateways: BTreeSet<_> = labelled.chain([key.name.clone()]).collect();
        gateways.into_iter().map(|it| Reference::Gateway(Key::new(&key.namespace, it))).collect()
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
        let known: Vec<_> = self.caches.gateway_services.0.read().keys().cloned().collect();
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
