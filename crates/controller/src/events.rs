//! Kubernetes events on services and configs, under the names of KServe's controllers.
//!
//! Publishing neither waits nor fails: notes go into bounded queues, and [`Writer`] brings them to the API server beside
//! the reconciles. An event that cannot be written is logged.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, Resource};
use lru::LruCache;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::apply::Outcome;
use crate::children::ChildKind;
use crate::fault::Fault;
use crate::metrics::Metrics;

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
/// Writes at a time. The events of one object keep their order, because each object has its lane.
const LANES: usize = 4;
/// Notes that wait in one lane: in all those of about four hundred new services. When it is full, a note is dropped and counted:
/// events explain, and what holds is in the status.
const WAITING: usize = 1024;
/// How long the end of the process waits for notes that are left.
const DRAIN: Duration = Duration::from_secs(5);
/// Events that can be repeated, in one lane. Beyond it the one unused for longest is forgotten, and would be written anew.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(1024).expect("not zero");
/// Services whose warnings are remembered. Beyond it the one unused for longest is forgotten and warned about again.
const WARNED: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// Takes notes. Clones share the queues.
#[derive(Debug, Clone)]
pub struct Events {
    lanes: Arc<[mpsc::Sender<Letter>]>,
    /// Warnings that hold, by uid of the service.
    standing: Arc<Mutex<LruCache<String, Vec<Note>>>>,
    metrics: Metrics,
}

/// A note on its way.
#[derive(Debug)]
struct Letter {
    source: &'static str,
    object: ObjectReference,
    note: Note,
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
    /// Queues for the events of the process `instance`, and what writes them.
    #[must_use]
    pub fn new(client: &Client, instance: &str, metrics: Metrics) -> (Self, Writer) {
        let (senders, lanes): (Vec<_>, Vec<_>) = (0..LANES)
            .map(|_| {
                let (sender, letters) = mpsc::channel(WAITING);
                let written = LruCache::new(REMEMBERED);
                (sender, Lane { client: client.clone(), instance: instance.to_owned(), letters, written })
            })
            .unzip();
        let standing = Arc::new(Mutex::new(LruCache::new(WARNED)));
        (Self { lanes: senders.into(), standing, metrics }, Writer { lanes })
    }

    /// Publishes an event on a service.
    pub fn service(&self, service: &impl Resource<DynamicType = ()>, note: Note) {
        self.publish(SERVICES, service, note);
    }

    /// Publishes the warnings that hold for a service now and did not at the last call. A warning that goes away and
    /// comes back is published again.
    pub fn standing(&self, service: &impl Resource<DynamicType = ()>, notes: Vec<Note>) {
        let uid = service.meta().uid.clone().unwrap_or_default();
        let before = if notes.is_empty() {
            self.standing.lock().pop(&uid)
        } else {
            self.standing.lock().put(uid, notes.clone())
        };
        let before = before.unwrap_or_default();
        for note in notes.into_iter().filter(|it| !before.contains(it)) {
            self.publish(SERVICES, service, note);
        }
    }

    /// Publishes an event on a config.
    pub fn config(&self, config: &impl Resource<DynamicType = ()>, note: Note) {
        self.publish(CONFIGS, config, note);
    }

    fn publish(&self, source: &'static str, object: &impl Resource<DynamicType = ()>, mut note: Note) {
        note.message.truncate(note.message.floor_char_boundary(MAX_MESSAGE));
        let letter = Letter { source, object: object.object_ref(&()), note };
        let mut hasher = DefaultHasher::new();
        letter.object.uid.hash(&mut hasher);
        let lane = usize::try_from(hasher.finish() % LANES as u64).unwrap_or_default();
        if let Err(refused) = self.lanes[lane].try_send(letter) {
            self.metrics.event_dropped();
            let reason = refused.into_inner().note.reason;
            tracing::debug!(reason, "an event is dropped: too many wait");
        }
    }
}

/// Brings notes to the API server.
#[derive(Debug)]
pub struct Writer {
    lanes: Vec<Lane>,
}

impl Writer {
    /// Writes until `stop`, and then what is left, for a bounded time.
    pub async fn run(self, stop: CancellationToken) {
        join_all(self.lanes.into_iter().map(|it| it.run(&stop))).await;
    }
}

/// One queue of notes.
struct Lane {
    client: Client,
    instance: String,
    letters: mpsc::Receiver<Letter>,
    written: LruCache<Identity, Written>,
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

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").field("instance", &self.instance).finish_non_exhaustive()
    }
}

impl Lane {
    async fn run(mut self, stop: &CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                letter = self.letters.recv() => match letter {
                    Some(letter) => self.deliver(letter).await,
                    None => return,
                },
            }
        }
        self.letters.close();
        let rest = async {
            while let Some(letter) = self.letters.recv().await {
                self.deliver(letter).await;
            }
        };
        if tokio::time::timeout(DRAIN, rest).await.is_err() {
            tracing::warn!(events = self.letters.len(), "events are left unwritten");
        }
    }

    async fn deliver(&mut self, letter: Letter) {
        let reason = letter.note.reason;
        match tokio::time::timeout(DEADLINE, self.write(letter)).await {
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
    async fn write(&mut self, letter: Letter) -> kube::Result<()> {
        let Letter { source, object, note } = letter;
        let now = Timestamp::now();
        let api: Api<Event> =
            Api::namespaced(self.client.clone(), object.namespace.as_deref().unwrap_or("default"));
        let identity = (object.uid.clone().unwrap_or_default(), note.reason, note.message.clone());
        let repeated = self.written.get(&identity).cloned();
        if let Some(mut event) = repeated.filter(|it| is_recent(it.last, now)) {
            event.count += 1;
            event.last = now;
            let patch = json!({"count": event.count, "lastTimestamp": Time(now)});
            match api.patch(&event.name, &PatchParams::default(), &Patch::Merge(patch)).await {
                // Events expire.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                other => {
                    self.written.put(identity, event);
                    return other.map(drop);
                }
            }
        }
        let event = event(source, &self.instance, object, note, now);
        let name = event.metadata.name.clone().unwrap_or_default();
        api.create(&PostParams::default(), &event).await?;
        self.written.put(identity, Written { name, count: 1, last: now });
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
mod tests;
