//! The workloads: their conditions, their replicas, and what the scale subresource shows of the main one.

use std::collections::BTreeMap;

use llmd_api::serving::conditions as types;
use llmd_api::serving::status::{WorkloadReference, WorkloadsStatus};

use super::conditions::{Conditions, Verdict};
use crate::children::ChildKind;
use crate::live::{LiveDeployment, LiveLeaderWorkerSet};
use crate::llmisvc::render::scheduler;
use crate::llmisvc::service::Service;

/// Reason of a workload that its controller has not judged yet.
const PROGRESSING: &str = "Progressing";

/// A workload by the object that runs it.
#[derive(Debug, Clone, Copy)]
enum Live<'a> {
    Deployment(Option<&'a LiveDeployment>),
    LeaderWorkerSet(Option<&'a LiveLeaderWorkerSet>),
}

/// One workload of a service.
#[derive(Debug, Clone)]
struct Workload<'a> {
    condition: &'static str,
    name: String,
    live: Live<'a>,
}

/// Marks the condition of each workload.
pub fn mark(service: &Service, conditions: &mut Conditions) {
    for it in [Some(main(service)), prefill(service)].into_iter().flatten() {
        conditions.mark(it.condition, it.verdict());
    }
}

/// Marks the conditions of the endpoint picker and the tokenizer.
pub fn mark_scheduler(service: &Service, conditions: &mut Conditions) {
    let live = &service.facts.live;
    let (picker, tokenizer) = (service.names().scheduler(), service.names().tokenizer());
    for it in scheduler_conditions_of(service) {
        let verdict = if it == types::TOKENIZER_READY {
            deployment_verdict(&tokenizer, live.deployment(&tokenizer))
        } else {
            scheduler_verdict(&picker, live.deployment(&picker))
        };
        conditions.mark(it, verdict);
    }
}

/// The section `status.workloads`.
#[must_use]
pub fn references(service: &Service) -> WorkloadsStatus {
    let picker = scheduler::managed(service).filter(|it| it.template.is_some()).map(|_| {
        let name = service.names().scheduler();
        let live = Live::Deployment(service.facts.live.deployment(&name));
        Workload { condition: types::SCHEDULER_WORKLOAD_READY, name, live }
    });
    WorkloadsStatus {
        primary: Some(main(service).reference()),
        prefill: prefill(service).map(|it| it.reference()),
        scheduler: picker.map(|it| it.reference()),
        service: Some(WorkloadReference {
            api_group: None,
            kind: "Service".to_owned(),
            name: service.names().workload_service(),
            ready_replicas: None,
        }),
    }
}

/// Replicas of the main workload and the label selector of its pods; of a LeaderWorkerSet, of its leaders, which
/// count one a group.
#[must_use]
pub fn scale(service: &Service) -> (Option<i32>, Option<String>) {
    let main = main(service);
    match main.live {
        Live::Deployment(live) => {
            (live.map(|it| it.status.replicas), live.map(|it| selector_text(&it.selector)))
        }
        Live::LeaderWorkerSet(live) => {
            (live.map(|it| it.status_replicas), live.map(|_| leader_selector(&main.name)))
        }
    }
}

/// How the service is laid out.
#[must_use]
pub fn mode(service: &Service) -> String {
    let prefill = service.spec.prefill.as_ref();
    let multi_node = service.spec.workload.worker.is_some() || prefill.is_some_and(|it| it.worker.is_some());
    let mode = match (prefill.is_some(), multi_node) {
        (false, false) => "single",
        (true, false) => "disaggregated",
        (false, true) => "multi-node",
        (true, true) => "disaggregated+multi-node",
    };
    mode.to_owned()
}

/// The conditions of the workloads that the spec asks for, without the endpoint picker's.
#[must_use]
pub fn conditions_of(service: &Service) -> Vec<&'static str> {
    [Some(main(service)), prefill(service)].into_iter().flatten().map(|it| it.condition).collect()
}

/// The conditions of endpoint picker and tokenizer that the spec asks for.
#[must_use]
pub fn scheduler_conditions_of(service: &Service) -> Vec<&'static str> {
    let Some(scheduler) = scheduler::managed(service) else { return Vec::new() };
    let picker = scheduler.template.is_some().then_some(types::SCHEDULER_WORKLOAD_READY);
    let tokenizer = scheduler.tokenizer.is_some().then_some(types::TOKENIZER_READY);
    picker.into_iter().chain(tokenizer).collect()
}

fn main(service: &Service) -> Workload<'_> {
    let conditions = (types::MAIN_WORKLOAD_READY, types::WORKER_WORKLOAD_READY);
    let names = (service.names().workload(), service.names().multi_node());
    workload(service, service.spec.workload.worker.is_some(), conditions, names)
}

fn prefill(service: &Service) -> Option<Workload<'_>> {
    let prefill = service.spec.prefill.as_ref()?;
    let conditions = (types::PREFILL_WORKLOAD_READY, types::PREFILL_WORKER_WORKLOAD_READY);
    let names = (service.names().prefill(), service.names().multi_node_prefill());
    Some(workload(service, prefill.worker.is_some(), conditions, names))
}

/// The first of each pair is for a single node, the second for several.
fn workload<'a>(
    service: &'a Service,
    multi_node: bool,
    conditions: (&'static str, &'static str),
    names: (String, String),
) -> Workload<'a> {
    let live = &service.facts.live;
    if multi_node {
        let live = Live::LeaderWorkerSet(live.leader_worker_set(&names.1));
        Workload { condition: conditions.1, name: names.1, live }
    } else {
        let live = Live::Deployment(live.deployment(&names.0));
        Workload { condition: conditions.0, name: names.0, live }
    }
}

impl Workload<'_> {
    fn verdict(&self) -> Verdict {
        match self.live {
            Live::Deployment(live) => deployment_verdict(&self.name, live),
            Live::LeaderWorkerSet(live) => leader_worker_set_verdict(live),
        }
    }

    fn reference(&self) -> WorkloadReference {
        let (kind, ready) = match self.live {
            Live::Deployment(live) => {
                (ChildKind::Deployment, live.map_or(0, |it| it.status.available_replicas))
            }
            Live::LeaderWorkerSet(live) => {
                (ChildKind::LeaderWorkerSet, live.map_or(0, |it| it.ready_replicas))
            }
        };
        WorkloadReference {
            api_group: Some(kind.group().to_owned()),
            kind: kind.kind().to_owned(),
            name: self.name.clone(),
            ready_replicas: Some(ready),
        }
    }
}

/// Available is ready. Otherwise an exceeded deadline says more than missing replicas.
fn deployment_verdict(name: &str, live: Option<&LiveDeployment>) -> Verdict {
    let Some(live) = live else { return not_created("Deployment", name) };
    let condition = |type_: &str| live.status.conditions.iter().find(|it| it.type_ == type_);
    let available = condition("Available");
    if available.is_some_and(|it| it.status == "True") {
        return Verdict::True;
    }
    let exceeded =
        condition("Progressing").filter(|it| it.status == "False" && it.reason == "ProgressDeadlineExceeded");
    exceeded.or(available).map_or_else(
        || Verdict::no(PROGRESSING, "Deployment is progressing"),
        |it| Verdict::no(&it.reason, &it.message),
    )
}

/// One replica picks endpoints and the others stand by, so one that is available is enough.
fn scheduler_verdict(name: &str, live: Option<&LiveDeployment>) -> Verdict {
    match live {
        Some(it) if it.status.available_replicas > 0 => Verdict::True,
        _ => match deployment_verdict(name, live) {
            // Available with no replica at all: scaled to zero.
            Verdict::True => Verdict::no(PROGRESSING, "Deployment has no available replica"),
            verdict => verdict,
        },
    }
}

fn leader_worker_set_verdict(live: Option<&LiveLeaderWorkerSet>) -> Verdict {
    let available = live.and_then(|it| it.conditions.iter().find(|it| it.type_ == "Available"));
    match available {
        Some(it) if it.status == "True" => Verdict::True,
        Some(it) if !it.reason.is_empty() => Verdict::no(&it.reason, &it.message),
        _ => Verdict::no(PROGRESSING, "LWS is progressing"),
    }
}

fn not_created(kind: &str, name: &str) -> Verdict {
    Verdict::no(PROGRESSING, format!("{kind} {name} has not been created yet"))
}

fn selector_text(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// The selector that LeaderWorkerSet gives its own autoscalers (`status.hpaPodSelector`).
fn leader_selector(name: &str) -> String {
    const PREFIX: &str = "leaderworkerset.sigs.k8s.io";
    format!("{PREFIX}/name={name},{PREFIX}/worker-index=0")
}

#[cfg(test)]
mod tests;
