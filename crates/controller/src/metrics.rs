//! Metrics of the controller.
//!
//! | Name | Type | Labels | Meaning |
//! |---|---|---|---|
//! | `llmd_controller_reconcile_total` | counter | `controller`, `result` | Finished reconciles: `success`, `failed` (the user has to act), `error` (tried again) |
//! | `llmd_controller_reconcile_errors_total` | counter | `controller`, `reason` | Reconciles that failed, by [`crate::llmisvc::reconcile::Error::reason`] |
//! | `llmd_controller_reconcile_duration_seconds` | histogram | `controller` | Duration of one reconcile |
//! | `llmd_controller_queue_depth` | gauge | `controller` | Objects that could be worked on now |
//! | `llmd_controller_children_total` | counter | `kind`, `operation` | Objects `created`, `updated` and `deleted` |
//! | `llmd_controller_events_dropped_total` | counter | | Kubernetes events that were not written because too many waited |
//! | `llmd_controller_watch_up` | gauge | `resource` | 1 while the watch of a kind works, 0 after it failed |
//! | `llmd_controller_leader` | gauge | | 1 while this process reconciles |
//! | `llmisvc_condition_status` | gauge | `namespace`, `name`, `condition` | 1 True, 0 False, -1 Unknown |
//! | `llmisvc_workload_replicas_ready` | gauge | `namespace`, `name`, `workload` | Ready replicas of `primary`, `prefill` and `scheduler` |

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use kube::core::ApiResource;
use llmd_api::serving::status::LLMInferenceServiceStatus;
use llmd_common::metrics::register;
use parking_lot::Mutex;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use crate::apply::Outcome;
use crate::index::Key;

/// From a reconcile that finds nothing to do to one that waits for a slow API server, in seconds.
const DURATIONS: [f64; 9] = [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// Every metric. Clones share them.
#[derive(Debug, Clone)]
pub struct Metrics {
    reconciles: IntCounterVec,
    errors: IntCounterVec,
    durations: HistogramVec,
    queue_depth: IntGaugeVec,
    children: IntCounterVec,
    events_dropped: IntCounter,
    watches: IntGaugeVec,
    leader: IntGauge,
    conditions: IntGaugeVec,
    replicas: IntGaugeVec,
    /// The label values in use for each service, to remove those that no longer hold.
    reported: Arc<Mutex<HashMap<Key, Reported>>>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Reported {
    conditions: HashSet<String>,
    workloads: HashSet<&'static str>,
}

impl Metrics {
    /// Registers every metric in `registry`.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            register(registry, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            register(registry, IntGaugeVec::new(Opts::new(name, help), labels))
        };
        let durations = HistogramOpts::new(
            "llmd_controller_reconcile_duration_seconds",
            "Duration of one reconcile in seconds.",
        );
        Self {
            reconciles: counters(
                "llmd_controller_reconcile_total",
                "Finished reconciles by result.",
                &["controller", "result"],
            ),
            errors: counters(
                "llmd_controller_reconcile_errors_total",
                "Reconciles that failed, by reason.",
                &["controller", "reason"],
            ),
            durations: register(
                registry,
                HistogramVec::new(durations.buckets(DURATIONS.to_vec()), &["controller"]),
            ),
            queue_depth: gauges(
                "llmd_controller_queue_depth",
                "Objects that could be worked on now.",
                &["controller"],
            ),
            children: counters(
                "llmd_controller_children_total",
                "Objects created, updated and deleted.",
                &["kind", "operation"],
            ),
            events_dropped: register(
                registry,
                IntCounter::new(
                    "llmd_controller_events_dropped_total",
                    "Kubernetes events that were not written because too many waited.",
                ),
            ),
            watches: gauges(
                "llmd_controller_watch_up",
                "1 while the watch of a kind works, 0 after it failed.",
                &["resource"],
            ),
            leader: register(
                registry,
                IntGauge::new("llmd_controller_leader", "1 while this process reconciles."),
            ),
            conditions: gauges(
                "llmisvc_condition_status",
                "Condition of a service: 1 True, 0 False, -1 Unknown.",
                &["namespace", "name", "condition"],
            ),
            replicas: gauges(
                "llmisvc_workload_replicas_ready",
                "Ready replicas of a service's workload.",
                &["namespace", "name", "workload"],
            ),
            reported: Arc::default(),
        }
    }

    /// Counts a finished reconcile.
    pub fn reconciled(&self, controller: &str, result: &str, reason: Option<&str>, duration: Duration) {
        self.reconciles.with_label_values(&[controller, result]).inc();
        self.durations.with_label_values(&[controller]).observe(duration.as_secs_f64());
        if let Some(reason) = reason {
            self.errors.with_label_values(&[controller, reason]).inc();
        }
    }

    /// Reports how much work waits.
    pub fn queued(&self, controller: &str, depth: usize) {
        self.queue_depth.with_label_values(&[controller]).set(i64::try_from(depth).unwrap_or(i64::MAX));
    }

    /// Counts what a reconcile wrote.
    pub fn wrote(&self, outcome: &Outcome) {
        let Outcome { created, updated, deleted, failures: _ } = outcome;
        for (operation, objects) in [("created", created), ("updated", updated), ("deleted", deleted)] {
            for (kind, _) in objects {
                self.children.with_label_values(&[kind.kind(), operation]).inc();
            }
        }
    }

    /// Counts an event that was not written.
    pub fn event_dropped(&self) {
        self.events_dropped.inc();
    }

    /// Reports whether the watch of a kind works.
    pub fn watch_up(&self, resource: &ApiResource, up: bool) {
        self.watches.with_label_values(&[&resource_label(resource)]).set(i64::from(up));
    }

    /// The kind is no longer watched.
    pub fn watch_ended(&self, resource: &ApiResource) {
        // An error says that there was no such series.
        let _ = self.watches.remove_label_values(&[&resource_label(resource)]);
    }

    /// Reports whether this process reconciles.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// Reports a service's conditions and replicas as its status has them; `None` when the service is gone.
    pub fn service(&self, service: &Key, status: Option<&LLMInferenceServiceStatus>) {
        let mut now = Reported::default();
        for condition in status.into_iter().flat_map(|it| &it.conditions) {
            let value = match condition.status.as_str() {
                "True" => 1,
                "False" => 0,
                _ => -1,
            };
            let labels = [&service.namespace, &service.name, &condition.type_];
            self.conditions.with_label_values(&labels).set(value);
            now.conditions.insert(condition.type_.clone());
        }
        let workloads = status.and_then(|it| it.workloads.as_ref());
        let each = workloads
            .map(|it| [("primary", &it.primary), ("prefill", &it.prefill), ("scheduler", &it.scheduler)]);
        for (workload, reference) in each.into_iter().flatten() {
            let Some(reference) = reference else { continue };
            let labels = [service.namespace.as_str(), &service.name, workload];
            self.replicas.with_label_values(&labels).set(reference.ready_replicas.unwrap_or_default().into());
            now.workloads.insert(workload);
        }
        self.remove_stale(service, now);
    }

    /// Reports no service any more.
    pub fn no_services(&self) {
        let reported: Vec<Key> = self.reported.lock().keys().cloned().collect();
        reported.iter().for_each(|it| self.service(it, None));
    }

    fn remove_stale(&self, service: &Key, now: Reported) {
        let mut reported = self.reported.lock();
        let before = reported.remove(service).unwrap_or_default();
        let Key { namespace, name } = service;
        for stale in before.conditions.difference(&now.conditions) {
            // An error says that the series is gone, which is what is wanted.
            let _ = self.conditions.remove_label_values(&[namespace, name, stale]);
        }
        for stale in before.workloads.difference(&now.workloads) {
            // As above.
            let _ = self.replicas.remove_label_values(&[namespace.as_str(), name, stale]);
        }
        if now != Reported::default() {
            reported.insert(service.clone(), now);
        }
    }
}

fn resource_label(resource: &ApiResource) -> String {
    if resource.group.is_empty() {
        return resource.plural.clone();
    }
    format!("{}.{}.{}", resource.plural, resource.version, resource.group)
}

#[cfg(test)]
mod tests {
    use super::*;
    use llmd_api::serving::status::Condition;

    #[test]
    fn series_of_a_service_go_with_it() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry);
        let service = Key::new("team", "chat");
        let condition = |type_: &str, status: &str| Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            ..Condition::default()
        };
        let status =
            |conditions| LLMInferenceServiceStatus { conditions, ..LLMInferenceServiceStatus::default() };
        let text = || llmd_common::metrics::render(&registry);
        metrics.service(&service, Some(&status(vec![condition("Ready", "False"), condition("Old", "True")])));
        assert!(
            text().contains("llmisvc_condition_status{condition=\"Old\",name=\"chat\",namespace=\"team\"} 1")
        );
        metrics.service(&service, Some(&status(vec![condition("Ready", "Unknown")])));
        assert!(
            text().contains(
                "llmisvc_condition_status{condition=\"Ready\",name=\"chat\",namespace=\"team\"} -1"
            )
        );
        assert!(!text().contains("Old"));
        metrics.service(&service, None);
        assert!(!text().contains("chat"));
    }
}
