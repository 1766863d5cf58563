//! Watches: from the API server's events to caches and to the queue of services that must be looked at.
//!
//! One file a concern: [`children`] what services own, [`objects`] typed caches of everything else, [`shared_kinds`] what may be
//! either, [`optional`] the
//! kinds whose CRDs come and go, [`settings`] the installation's ConfigMap. Every watch reads objects without a
//! schema first, so one that does not parse is logged and skipped and stops nothing. A watch that fails starts again
//! after a while, for as long as the process runs.

use futures_util::StreamExt;
use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, DynamicResourceScope, PartialObjectMeta};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Resource, ResourceExt};
use llmd_common::kubernetes::watch::{Seen, Watch};
use llmd_common::report::Report;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

pub mod children;
pub mod gateway_services;
pub mod local_models;
pub mod named;
pub mod objects;
pub mod optional;
pub mod pods;
pub mod services;
pub mod settings;
pub mod shared_kinds;

/// Objects read at a time when a kind is listed: bounds the memory of one answer.
const PAGE: u32 = 50;

/// What takes the events of one watch.
pub trait Sink: Send {
    /// One event, in order.
    fn take(&mut self, event: Event<DynamicObject>);
}

/// What to watch.
#[derive(Debug, Clone)]
pub struct Target {
    pub resource: ApiResource,
    /// `None` = every namespace.
    pub namespace: Option<String>,
    pub labels: Option<String>,
    pub fields: Option<String>,
    /// Whether events carry metadata only.
    pub metadata_only: bool,
}

impl Target {
    /// Every object of a kind.
    #[must_use]
    pub const fn all(resource: ApiResource) -> Self {
        Self { resource, namespace: None, labels: None, fields: None, metadata_only: false }
    }

    /// Only objects with these labels.
    #[must_use]
    pub fn labelled(self, selector: impl Into<String>) -> Self {
        Self { labels: Some(selector.into()), ..self }
    }

    fn api<K: Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>>(
        &self,
        client: Client,
    ) -> Api<K> {
        match &self.namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &self.resource),
            None => Api::all_with(client, &self.resource),
        }
    }

    fn config(&self) -> watcher::Config {
        let config = watcher::Config::default().page_size(PAGE);
        watcher::Config { label_selector: self.labels.clone(), field_selector: self.fields.clone(), ..config }
    }
}

/// Watches `target` until `stop`. `synced` fires when the first list is complete.
pub async fn run(
    client: Client,
    target: Target,
    mut sink: impl Sink,
    metrics: Metrics,
    synced: CancellationToken,
    stop: CancellationToken,
) {
    let events = if target.metadata_only {
        let metadata = watcher(target.api::<PartialObjectMeta<DynamicObject>>(client), target.config());
        metadata.map(|it| it.map(without_data)).boxed()
    } else {
        watcher(target.api::<DynamicObject>(client), target.config()).boxed()
    };
    let mut watch = Watch::of(target.resource.plural.clone(), events);
    let mut is_up = false;
    loop {
        let seen = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            seen = watch.next() => seen,
        };
        match seen {
            Seen::Event(event) => {
                let is_complete = matches!(event, Event::InitDone);
                sink.take(event);
                // A watch that goes on where it broke off lists nothing again.
                if !is_up && (is_complete || synced.is_cancelled()) {
                    is_up = true;
                    metrics.watch_up(&target.resource, true);
                }
                if is_complete {
                    synced.cancel();
                }
            }
            Seen::NotServed | Seen::Failed(_) => {
                is_up = false;
                metrics.watch_up(&target.resource, false);
            }
        }
    }
}

fn without_data(event: Event<PartialObjectMeta<DynamicObject>>) -> Event<DynamicObject> {
    let object = |it: PartialObjectMeta<DynamicObject>| DynamicObject {
        types: it.types,
        metadata: it.metadata,
        data: serde_json::Value::Null,
    };
    match event {
        Event::Apply(it) => Event::Apply(object(it)),
        Event::Delete(it) => Event::Delete(object(it)),
        Event::Init => Event::Init,
        Event::InitApply(it) => Event::InitApply(object(it)),
        Event::InitDone => Event::InitDone,
    }
}

/// Reads `object` as its type; one that does not parse is logged.
pub fn parse<K>(object: DynamicObject) -> Option<K>
where
    K: Resource<DynamicType = ()> + serde::de::DeserializeOwned,
{
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    match object.try_parse() {
        Ok(object) => Some(object),
        Err(error) => {
            let kind = K::kind(&());
            tracing::error!(%kind, namespace, name, error = %Report(&error), "object cannot be read");
            None
        }
    }
}
