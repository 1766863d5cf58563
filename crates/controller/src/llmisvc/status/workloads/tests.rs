use crate::live::{LiveCondition, LiveDeploymentStatus};

use super::*;

fn deployment(available_replicas: i32, conditions: &[(&str, &str, &str)]) -> LiveDeployment {
    let condition = |&(type_, status, reason): &(&str, &str, &str)| LiveCondition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: String::new(),
    };
    let status = LiveDeploymentStatus {
        available_replicas,
        conditions: conditions.iter().map(condition).collect(),
        ..LiveDeploymentStatus::default()
    };
    LiveDeployment { status, ..LiveDeployment::default() }
}

/// The reason why it is not ready; empty when it is.
fn reason(verdict: Verdict) -> String {
    match verdict {
        Verdict::False(it) => it.reason,
        other => {
            assert_eq!(other, Verdict::True);
            String::new()
        }
    }
}

const UNAVAILABLE: (&str, &str, &str) = ("Available", "False", "MinimumReplicasUnavailable");
const AVAILABLE: (&str, &str, &str) = ("Available", "True", "MinimumReplicasAvailable");
const EXCEEDED: (&str, &str, &str) = ("Progressing", "False", "ProgressDeadlineExceeded");
const CREATING: (&str, &str, &str) = ("Progressing", "True", "ReplicaSetUpdated");

#[test]
fn a_deployment_is_ready_when_it_is_available() {
    let of = |conditions: &[_]| reason(deployment_verdict("d", Some(&deployment(0, conditions))));
    assert_eq!(of(&[AVAILABLE, CREATING]), "");
    assert_eq!(of(&[AVAILABLE, EXCEEDED]), "", "it serves, whatever the rollout does");
    assert_eq!(of(&[UNAVAILABLE, CREATING]), "MinimumReplicasUnavailable");
    assert_eq!(of(&[UNAVAILABLE, EXCEEDED]), "ProgressDeadlineExceeded");
    assert_eq!(of(&[CREATING]), "Progressing");
    assert_eq!(of(&[]), "Progressing");
    assert_eq!(reason(deployment_verdict("d", None)), "Progressing");
}

#[test]
fn an_endpoint_picker_is_ready_with_one_of_its_replicas() {
    let of =
        |replicas, conditions: &[_]| reason(scheduler_verdict("d", Some(&deployment(replicas, conditions))));
    assert_eq!(of(1, &[UNAVAILABLE]), "");
    assert_eq!(of(0, &[UNAVAILABLE]), "MinimumReplicasUnavailable");
    assert_eq!(of(0, &[UNAVAILABLE, EXCEEDED]), "ProgressDeadlineExceeded");
    assert_eq!(of(0, &[AVAILABLE]), "Progressing");
    assert_eq!(reason(scheduler_verdict("d", None)), "Progressing");
}
