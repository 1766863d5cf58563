//! Kubernetes events on services and configs, under the names of KServe's controllers.
//!
//! Publishing never fails a reconcile: an event that cannot be written is logged.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, Resource};
use lru::LruCache;
use parking_lot::Mutex;
use serde_json::json;

use crate::apply::Outcome;
use crate::children::ChildKind;
use crate::fault::Fault;

/// Source of events on services.
const SERVICES: &str = "LLMInferenceServiceController";
/// Source of events on configs.
const CONFIGS: &str = "LLMInferenceServiceConfigController";
/// Longest message that the API server accepts, in bytes.
const MAX_MESSAGE: usize = 1024;
/// Deadline of one write.
const DEADLINE: Duration = Duration::from_secs(5);
/// Time in which a repetition is counted on the event that is there, as Kubernetes' own clients do.
const REPETITION: Duration = Duration::from_secs(600);
/// Events that can be repeated. Beyond it the one unused for longest is forgotten, and would be written anew.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// Writes events.
#[derive(Clone)]
pub struct Events {
    client: Client,
    instance: Arc<str>,
    written: Arc<Mutex<LruCache<Identity, Written>>>,
    /// Warnings that hold, by uid of the service.
    standing: Arc<Mutex<LruCache<String, Vec<Note>>>>,
}

/// What makes two events the same: the object's uid, the reason, the message.
type Identity = (String, &'static str, String);

/// An event in the cluster.
#[derive(Debug, Clone)]
struct Written {
    name: String,
    count: i32,
    last: Timestamp,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("instance", &self.instance).finish_non_exhaustive()
    }
}

/// An event to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub warning: bool,
    /// CamelCase.
    pub reason: &'static str,
    pub message: String,
}

impl Note {
    /// Something that went as it should.
    pub fn normal(reason: &'static str, message: impl Into<String>) -> Self {
        Self { warning: false, reason, message: message.into() }
    }

    /// Something that somebody should look at.
    pub fn warning(reason: &'static str, message: impl Into<String>) -> Self {
        Self { warning: true, reason, message: message.into() }
    }
}

impl Events {
    /// Events of the process `instance`.
    #[must_use]
    pub fn new(client: Client, instance: &str) -> Self {
        let written = Arc::new(Mutex::new(LruCache::new(REMEMBERED)));
        let standing = Arc::new(Mutex::new(LruCache::new(REMEMBERED)));
        Self { client, instance: instance.into(), written, standing }
    }

    /// Publishes an event on a service.
    pub async fn service(&self, service: &impl Resource<DynamicType = ()>, note: Note) {
        self.publish(SERVICES, service, note).await;
    }

    /// Publishes the warnings that hold for a service now and did not at the last call. A warning that goes away and
    /// comes back is published again.
    pub async fn standing(&self, service: &impl Resource<DynamicType = ()>, notes: Vec<Note>) {
        let uid = service.meta().uid.clone().unwrap_or_default();
        let before = if notes.is_empty() {
            self.standing.lock().pop(&uid)
        } else {
            self.standing.lock().put(uid, notes.clone())
        };
        let before = before.unwrap_or_default();
        for note in notes.into_iter().filter(|it| !before.contains(it)) {
            self.publish(SERVICES, service, note).await;
        }
    }

    /// Publishes an event on a config.
    pub async fn config(&self, config: &impl Resource<DynamicType = ()>, note: Note) {
        self.publish(CONFIGS, config, note).await;
    }

    async fn publish(&self, source: &str, object: &impl Resource<DynamicType = ()>, mut note: Note) {
        note.message.truncate(note.message.floor_char_boundary(MAX_MESSAGE));
        let reason = note.reason;
        let write = self.write(source, object.object_ref(&()), note);
        match tokio::time::timeout(DEADLINE, write).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let fault = Fault::from(error);
                if !fault.is_namespace_terminating() {
                    tracing::warn!(reason, error = %fault, "cannot publish an event");
                }
            }
            Err(_) => tracing::warn!(reason, "an event was not accepted in time"),
        }
    }

    /// Counts a repetition, or writes a new event.
    async fn write(&self, source: &str, object: ObjectReference, note: Note) -> kube::Result<()> {
        let now = Timestamp::now();
        let api: Api<Event> =
            Api::namespaced(self.client.clone(), object.namespace.as_deref().unwrap_or("default"));
        let identity = (object.uid.clone().unwrap_or_default(), note.reason, note.message.clone());
        let repeated = self.written.lock().get(&identity).cloned();
        if let Some(mut event) = repeated.filter(|it| is_recent(it.last, now)) {
            event.count += 1;
            event.last = now;
            let patch = json!({"count": event.count, "lastTimestamp": Time(now)});
            match api.patch(&event.name, &PatchParams::default(), &Patch::Merge(patch)).await {
                // Events expire.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                other => {
                    self.written.lock().put(identity, event);
                    return other.map(drop);
                }
            }
        }
        let event = event(source, &self.instance, object, note, now);
        let name = event.metadata.name.clone().unwrap_or_default();
        api.create(&PostParams::default(), &event).await?;
        self.written.lock().put(identity, Written { name, count: 1, last: now });
        Ok(())
    }
}

fn is_recent(last: Timestamp, now: Timestamp) -> bool {
    now.duration_since(last).unsigned_abs() < REPETITION
}

/// A new event. Names are the object's with the time, as Kubernetes' own clients make them.
fn event(source: &str, instance: &str, object: ObjectReference, note: Note, now: Timestamp) -> Event {
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{:x}", object.name.clone().unwrap_or_default(), now.as_nanosecond())),
            namespace: object.namespace.clone(),
            ..ObjectMeta::default()
        },
        type_: Some(if note.warning { "Warning" } else { "Normal" }.to_owned()),
        reason: Some(note.reason.to_owned()),
        message: Some(note.message),
        source: Some(EventSource { component: Some(source.to_owned()), host: None }),
        reporting_component: Some(source.to_owned()),
        reporting_instance: Some(instance.to_owned()),
        count: Some(1),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        involved_object: object,
        ..Event::default()
    }
}

/// What a reconcile did to the objects in `namespace`, one note each.
#[must_use]
pub fn changes(namespace: &str, outcome: &Outcome) -> Vec<Note> {
    let Outcome { created, updated, deleted, failures: _ } = outcome;
    let notes = |reason: &'static str, objects: &[(ChildKind, String)]| {
        let note = |(kind, name): &(ChildKind, String)| {
            let version = kind.api_resource().version;
            let place = if kind.is_namespaced() { format!("{namespace}/{name}") } else { name.clone() };
            Note::normal(reason, format!("{reason} {version}.{} {place}", kind.kind()))
        };
        objects.iter().map(note).collect::<Vec<_>>()
    };
    [notes("Created", created), notes("Updated", updated), notes("Deleted", deleted)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_name_version_kind_and_place() {
        let outcome = Outcome {
            created: vec![(ChildKind::Deployment, "chat-kserve".to_owned())],
            deleted: vec![(ChildKind::ClusterRoleBinding, "auth".to_owned())],
            ..Outcome::default()
        };
        let messages: Vec<_> = changes("team", &outcome).into_iter().map(|it| it.message).collect();
        assert_eq!(
            messages,
            ["Created v1.Deployment team/chat-kserve", "Deleted v1.ClusterRoleBinding auth"]
        );
    }
}
