//! Kubernetes events on services and configs, under the names of KServe's controllers.
//!
//! Publishing never fails a reconcile: an event that cannot be written is logged.

use std::time::Duration;

use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource};
use llmd_api::serving::conditions;
use llmd_api::serving::status::Condition;
use llmd_common::report::Report;

use crate::apply::Outcome;
use crate::children::ChildKind;

/// Longest note that the API server accepts, in bytes.
const MAX_NOTE: usize = 1024;
/// Deadline of one write.
const DEADLINE: Duration = Duration::from_secs(5);

/// Where events come from.
#[derive(Clone)]
pub struct Events {
    services: Recorder,
    configs: Recorder,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
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
        let recorder = |controller: &str| {
            let reporter =
                Reporter { controller: controller.to_owned(), instance: Some(instance.to_owned()) };
            Recorder::new(client.clone(), reporter)
        };
        Self {
            services: recorder("LLMInferenceServiceController"),
            configs: recorder("LLMInferenceServiceConfigController"),
        }
    }

    /// Publishes an event on a service.
    pub async fn service(&self, service: &impl Resource<DynamicType = ()>, note: Note) {
        publish(&self.services, service, note).await;
    }

    /// Publishes an event on a config.
    pub async fn config(&self, config: &impl Resource<DynamicType = ()>, note: Note) {
        publish(&self.configs, config, note).await;
    }
}

async fn publish(recorder: &Recorder, object: &impl Resource<DynamicType = ()>, note: Note) {
    let Note { warning, reason, mut message } = note;
    message.truncate(message.floor_char_boundary(MAX_NOTE));
    let event = Event {
        type_: if warning { EventType::Warning } else { EventType::Normal },
        reason: reason.to_owned(),
        note: Some(message),
        action: "Reconcile".to_owned(),
        secondary: None,
    };
    let reference = object.object_ref(&());
    match tokio::time::timeout(DEADLINE, recorder.publish(&event, &reference)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(reason, error = %Report(&error), "cannot publish an event"),
        Err(_) => tracing::warn!(reason, "an event was not accepted in time"),
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

/// The note on the change of `Ready` between two sets of conditions, if it changed to or from True.
#[must_use]
pub fn readiness(name: &str, before: &[Condition], after: &[Condition]) -> Option<Note> {
    let is_ready =
        |all: &[Condition]| all.iter().any(|it| it.type_ == conditions::READY && it.status == "True");
    match (is_ready(before), is_ready(after)) {
        (false, true) => {
            Some(Note::normal("LLMInferenceServiceReady", format!("LLMInferenceService [{name}] is Ready")))
        }
        (true, false) => {
            let unhappy = after.iter().filter(|it| it.type_ != conditions::READY && it.status == "False");
            let types: Vec<_> = unhappy.map(|it| it.type_.as_str()).collect();
            let causes = types.join(", ");
            let message = format!("LLMInferenceService [{name}] is no longer Ready because of: {causes}");
            Some(Note::warning("LLMInferenceServiceNotReady", message))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(conditions: &[(&str, &str)]) -> Vec<Condition> {
        let condition = |(type_, status): &(&str, &str)| Condition {
            type_: (*type_).to_owned(),
            status: (*status).to_owned(),
            ..Condition::default()
        };
        conditions.iter().map(condition).collect()
    }

    #[test]
    fn readiness_is_announced_once_and_its_loss_with_the_causes() {
        let ready = set(&[("Ready", "True")]);
        let broken = set(&[("Ready", "False"), ("RouterReady", "False"), ("PresetsCombined", "True")]);
        assert_eq!(readiness("chat", &[], &ready).unwrap().reason, "LLMInferenceServiceReady");
        assert_eq!(readiness("chat", &ready, &ready), None);
        assert_eq!(readiness("chat", &[], &broken), None);
        let lost = readiness("chat", &ready, &broken).unwrap();
        assert!(lost.warning);
        assert_eq!(lost.message, "LLMInferenceService [chat] is no longer Ready because of: RouterReady");
    }

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
