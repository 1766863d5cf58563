//! The set of conditions with knative's rule for `Ready`.
//!
//! A set is built anew from what is known now; the previous status only lends transition times. So the result
//! does not depend on the order in which conditions were marked.

use std::collections::BTreeMap;

use llmd_api::serving::conditions as types;
use llmd_api::serving::status::Condition;

use crate::llmisvc::section::SectionError;

/// The conditions that `Ready` depends on. Where several became unhappy in the same second, the first one in
/// this order explains `Ready`: causes stand before consequences.
const LIVING: [&str; 3] = [types::PRESETS_COMBINED, types::WORKLOADS_READY, types::ROUTER_READY];

/// Every condition of this controller. Others in a status belong to somebody else and are kept.
const OWN: [&str; 18] = [
    types::READY,
    types::PRESETS_COMBINED,
    types::WORKLOADS_READY,
    types::ROUTER_READY,
    types::MAIN_WORKLOAD_READY,
    types::WORKER_WORKLOAD_READY,
    types::PREFILL_WORKLOAD_READY,
    types::PREFILL_WORKER_WORKLOAD_READY,
    types::SCALING_READY,
    types::PREFILL_SCALING_READY,
    types::SCHEDULER_WORKLOAD_READY,
    types::TOKENIZER_READY,
    types::GATEWAYS_READY,
    types::HTTP_ROUTES_READY,
    types::INFERENCE_POOL_READY,
    types::GROUP_READY,
    types::GROUP_DEGRADED,
    types::OCI_IMAGE_VOLUME_COMPATIBLE,
];

/// What a condition says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    True,
    /// True, and that needs a reason: the condition tells of something bad.
    Noted(Reason),
    False(Reason),
    Unknown(Reason),
}

/// Why a condition is as it is: a CamelCase word and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    pub reason: String,
    pub message: String,
}

impl Verdict {
    /// True, with the reason.
    pub fn noted(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Noted(Reason { reason: reason.into(), message: message.into() })
    }

    /// False, with the reason.
    pub fn no(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self::False(Reason { reason: reason.into(), message: message.into() })
    }

    /// Unknown, with the reason.
    pub fn unknown(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Unknown(Reason { reason: reason.into(), message: message.into() })
    }

    const fn status(&self) -> &'static str {
        match self {
            Self::True | Self::Noted(_) => "True",
            Self::False(_) => "False",
            Self::Unknown(_) => "Unknown",
        }
    }

    /// What a section's error says of its condition.
    #[must_use]
    pub fn of_error(error: &SectionError) -> Self {
        let verdict = if error.unknown { Self::unknown } else { Self::no };
        verdict(error.reason, &error.message)
    }

    /// What an unhappy condition says, to be repeated by another.
    fn of(condition: &Condition) -> Self {
        let reason = Reason { reason: condition.reason.clone(), message: condition.message.clone() };
        if condition.status == "False" { Self::False(reason) } else { Self::Unknown(reason) }
    }
}

/// Conditions by type, each with its transition time.
#[derive(Debug, Clone)]
pub struct Conditions {
    previous: BTreeMap<String, Condition>,
    current: BTreeMap<String, Condition>,
    now: String,
}

impl Conditions {
    /// No condition is known yet, except those of others in `previous`. `now` is RFC 3339 in UTC.
    #[must_use]
    pub fn new(previous: &[Condition], now: &str) -> Self {
        let previous: BTreeMap<_, _> = previous.iter().map(|it| (it.type_.clone(), it.clone())).collect();
        let foreign = previous.iter().filter(|(type_, _)| !OWN.contains(&type_.as_str()));
        let current = foreign.map(|(type_, it)| (type_.clone(), it.clone())).collect();
        Self { previous, current, now: now.to_owned() }
    }

    /// Everything in `previous` still holds.
    #[must_use]
    pub fn keep(previous: &[Condition], now: &str) -> Self {
        let kept: BTreeMap<_, _> = previous.iter().map(|it| (it.type_.clone(), it.clone())).collect();
        Self { previous: kept.clone(), current: kept, now: now.to_owned() }
    }

    /// Sets a condition. Its transition time stays when nothing about it changed.
    pub fn mark(&mut self, type_: &str, verdict: Verdict) {
        let status = verdict.status();
        let reason = match verdict {
            Verdict::True => None,
            Verdict::Noted(it) | Verdict::False(it) | Verdict::Unknown(it) => Some(it),
        };
        let (reason, message) = reason.map(|it| (it.reason, it.message)).unwrap_or_default();
        let severity = if type_ == types::READY || LIVING.contains(&type_) { "" } else { "Info" };
        let mut condition = Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            severity: severity.to_owned(),
            last_transition_time: None,
            reason,
            message,
        };
        condition.last_transition_time = self.transition_time(&condition);
        self.current.insert(type_.to_owned(), condition);
    }

    fn transition_time(&self, condition: &Condition) -> Option<String> {
        let same = |it: &&Condition| {
            (&it.status, &it.reason, &it.message)
                == (&condition.status, &condition.reason, &condition.message)
        };
        let unchanged = self.previous.get(&condition.type_).filter(same);
        unchanged.and_then(|it| it.last_transition_time.clone()).or_else(|| Some(self.now.clone()))
    }

    /// Marks `type_` like the first of `parts` that is False, otherwise True. What is missing or unknown does
    /// not count.
    pub fn mark_from(&mut self, type_: &str, parts: &[&str]) {
        let first = parts.iter().filter_map(|it| self.current.get(*it)).find(|it| it.status == "False");
        let verdict = first.map_or(Verdict::True, Verdict::of);
        self.mark(type_, verdict);
    }

    /// The conditions sorted by type, with `Ready` as the aggregate of the living ones.
    #[must_use]
    pub fn finish(mut self) -> Vec<Condition> {
        let ready = self.ready();
        self.mark(types::READY, ready);
        self.current.into_values().collect()
    }

    /// False wins over Unknown, and the latest change wins among equals. A living condition that was never
    /// marked leaves `Ready` unknown.
    fn ready(&self) -> Verdict {
        let living: Vec<&Condition> = LIVING.iter().filter_map(|it| self.current.get(*it)).collect();
        let latest = |status: &str| {
            let unhappy = living.iter().filter(|it| it.status == status);
            // The iterator is reversed because the last of equal maxima is kept.
            unhappy.rev().max_by(|a, b| a.last_transition_time.cmp(&b.last_transition_time))
        };
        match latest("False").or_else(|| latest("Unknown")) {
            Some(unhappy) => Verdict::of(unhappy),
            None if living.len() < LIVING.len() => Verdict::unknown("", ""),
            None => Verdict::True,
        }
    }
}

#[cfg(test)]
mod tests;
