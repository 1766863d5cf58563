//! The installation's ConfigMap `inferenceservice-config`. Without it the defaults hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::DynamicObject;
use kube::core::ApiResource;
use kube::runtime::watcher::Event;
use llmd_common::report::Report;

use super::{Sink, Target};
use crate::context::Caches;
use crate::settings::{CONFIG_MAP, ClusterSettings};

/// The one ConfigMap.
#[must_use]
pub fn target(system_namespace: &str) -> Target {
    Target {
        namespace: Some(system_namespace.to_owned()),
        fields: Some(format!("metadata.name={CONFIG_MAP}")),
        ..Target::all(ApiResource::erase::<ConfigMap>(&()))
    }
}

/// Keeps the parsed settings, and wakes every service when they differ.
#[derive(Debug)]
pub struct Settings {
    caches: Caches,
    is_listed: bool,
}

impl Settings {
    /// Settings go into `caches`.
    #[must_use]
    pub const fn new(caches: Caches) -> Self {
        Self { caches, is_listed: false }
    }

    fn set(&self, data: &BTreeMap<String, String>) {
        match ClusterSettings::parse(data) {
            Ok(settings) => {
                if *self.caches.settings.load_full() != settings {
                    tracing::info!("settings changed");
                    self.caches.settings.store(Arc::new(settings));
                    self.caches.wake_all();
                }
            }
            Err(error) => tracing::error!(error = %Report(&error), "keeping the old settings"),
        }
    }
}

impl Sink for Settings {
    fn take(&mut self, event: Event<DynamicObject>) {
        match event {
            Event::Apply(it) | Event::InitApply(it) => {
                self.is_listed = true;
                let data = it.data.get("data").cloned().and_then(|it| serde_json::from_value(it).ok());
                self.set(&data.unwrap_or_default());
            }
            Event::Init => self.is_listed = false,
            Event::InitDone if self.is_listed => {}
            Event::Delete(_) | Event::InitDone => self.set(&BTreeMap::new()),
        }
    }
}
