//! What is told as events: readiness that changed, and neighbours that get in the way.

use llmd_api::serving::conditions as types;
use llmd_api::serving::status::Condition;

use super::group;
use crate::llmisvc::facts::routing::MAX_RIVALS;
use crate::llmisvc::render::router::models;
use crate::llmisvc::render::router::{group as groups, route};
use crate::llmisvc::service::Service;

/// Rivals that a warning names; fewer than are looked up, to tell that there are more.
const NAMED: usize = MAX_RIVALS - 1;

/// An event on the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusEvent {
    /// Otherwise normal.
    pub warning: bool,
    pub reason: &'static str,
    pub message: String,
}

/// The event of the step from the conditions `old` to `new`: `Ready` became True, or stopped being so.
#[must_use]
pub fn transition(name: &str, old: &[Condition], new: &[Condition]) -> Option<StatusEvent> {
    match (is_ready(old), is_ready(new)) {
        (false, true) => Some(StatusEvent {
            warning: false,
            reason: "LLMInferenceServiceReady",
            message: format!("LLMInferenceService [{name}] is Ready"),
        }),
        (true, false) => Some(StatusEvent {
            warning: true,
            reason: "LLMInferenceServiceNotReady",
            message: format!(
                "LLMInferenceService [{name}] is no longer Ready because of: {}",
                false_types(new).join(", ")
            ),
        }),
        _ => None,
    }
}

/// Warnings about other services: the same model name outside the group, other models inside it. They hold as
/// long as the cause does, so the recorder counts repetitions.
#[must_use]
pub fn warnings(service: &Service) -> Vec<StatusEvent> {
    let divergence = group::divergence(service).map(|message| StatusEvent {
        warning: true,
        reason: group::MEMBER_DIVERGENCE,
        message,
    });
    collisions(service).into_iter().chain(divergence).collect()
}

/// One warning about the services of the namespace that answer for one of the same models, however many they are.
fn collisions(service: &Service) -> Option<StatusEvent> {
    let own_group = route(service).and_then(|it| it.group.as_deref());
    let served = models::served(service);
    let peers = service.facts.routing.peers.iter();
    let rivals: Vec<_> = peers
        .filter(|(_, it)| it.object.metadata.deletion_timestamp.is_none())
        .filter(|(_, it)| own_group.is_none() || groups::group_of(&it.object) != own_group)
        .map(|(peer, it)| (peer.as_str(), models::advertised(&it.object)))
        .filter(|(_, theirs)| !theirs.is_disjoint(&served))
        .collect();
    let shared: Vec<_> =
        served.iter().filter(|it| rivals.iter().any(|(_, theirs)| theirs.contains(*it))).cloned().collect();
    let mut names: Vec<_> = rivals.iter().take(NAMED).map(|(peer, _)| *peer).collect();
    if rivals.len() > NAMED {
        names.push("others");
    }
    (!rivals.is_empty()).then(|| StatusEvent {
        warning: true,
        reason: "ModelNameCollision",
        message: format!(
            "model {} is also served by LLMInferenceService {}: requests routed by model name reach any of them; rename the model or put all into one routing group",
            shared.join(", "),
            names.join(", "),
        ),
    })
}

fn is_ready(conditions: &[Condition]) -> bool {
    conditions.iter().any(|it| it.type_ == types::READY && it.status == "True")
}

fn false_types(conditions: &[Condition]) -> Vec<&str> {
    let mut types: Vec<&str> = conditions
        .iter()
        .filter(|it| it.status == "False" && it.type_ != types::READY)
        .map(|it| it.type_.as_str())
        .collect();
    types.sort_unstable();
    types
}

#[cfg(test)]
mod tests;
