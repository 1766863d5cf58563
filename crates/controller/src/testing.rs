//! A process without a cluster: its parts around a client whose API server is an HTTP router in memory.

use std::sync::Arc;

use axum::Router;
use kube::Client;
use kube::api::DynamicObject;
use kube::runtime::watcher::Event;
use llmd_api::serving::v1alpha2::LLMInferenceService;
use prometheus::Registry;
use serde_json::Value;

use crate::apply::Applied;
use crate::context::{Caches, Context};
use crate::events::{Events, Writer};
use crate::metrics::Metrics;
use crate::watch::Sink;
use crate::watch::objects::Objects;

/// Answers by `router`.
pub(crate) fn client(router: Router) -> Client {
    Client::new(router, "default")
}

/// What a reconcile works with, and what writes its events.
pub(crate) fn context(client: Client) -> (Context, Writer) {
    let metrics = Metrics::new(&Registry::new());
    let (events, writer) = Events::new(&client, "test", metrics.clone());
    let context = Context {
        client,
        installation: Arc::default(),
        caches: Caches::default(),
        applied: Arc::new(Applied::default()),
        certificates: Arc::default(),
        events,
        metrics,
    };
    (context, writer)
}

/// Has the watch bring a service.
pub(crate) fn observe(caches: &Caches, service: &Value) -> Arc<LLMInferenceService> {
    let object: DynamicObject = serde_json::from_value(service.clone()).unwrap();
    let key = crate::watch::services::key_of(&object);
    Objects::new(Arc::clone(&caches.services), |_: Option<&_>, _: Option<&_>| ()).take(Event::Apply(object));
    caches.service(&key).unwrap()
}
