//! Two controllers and one lease: one works, the other serves webhooks and stands by.

use anyhow::{Context as _, Result};
use llmd_e2e::cluster::{CONTROLLERS, Write};
use llmd_e2e::installation::{Controller, Setup};

use super::own::{has_replicas, series, service, start};

/// What every candidate writes, whoever leads: its own trust and the installation's authority.
const SHARED: [&str; 4] = [
    "customresourcedefinitions",
    "mutatingwebhookconfigurations",
    "validatingwebhookconfigurations",
    "secrets/llmd-controller-ca",
];

fn value(controller: &Controller, metric: &str) -> Result<f64> {
    let metrics = controller.metrics()?;
    let values = series(&metrics, metric);
    anyhow::ensure!(!values.is_empty(), "no {metric} in {metrics}");
    Ok(values.iter().map(|(_, value)| value).sum())
}

fn is_shared(write: &Write) -> bool {
    SHARED.iter().any(|it| *it == write.resource || *it == format!("{}/{}", write.resource, write.name))
}

#[test]
fn the_second_takes_over_and_never_do_two_write() -> Result<()> {
    let Some(mut installation) = start(Setup::default())? else { return Ok(()) };
    installation.kill_controller()?;
    let begin = installation.cluster.audit_position();

    let first = installation.start_candidate(CONTROLLERS[0])?;
    installation.cluster.apply(&service("tiny", "replicas: 1"))?;
    has_replicas(&installation, "tiny", 1)?;
    let second = installation.start_candidate(CONTROLLERS[1])?;
    installation.cluster.apply(&service("tiny", "replicas: 2"))?;
    has_replicas(&installation, "tiny", 2)?;
    assert_eq!(value(&first, "llmd_controller_leader")?, 1.0);
    assert_eq!(value(&second, "llmd_controller_leader")?, 0.0);
    assert_eq!(series(&second.metrics()?, "llmisvc_condition_status"), [], "the leader reports on services");

    first.kill()?;
    installation.cluster.apply(&service("tiny", "replicas: 3"))?;
    has_replicas(&installation, "tiny", 3)?;
    assert_eq!(value(&second, "llmd_controller_leader")?, 1.0);
    installation.eventually("the new leader reports on services", || {
        Ok((!series(&second.metrics()?, "llmisvc_condition_status").is_empty()).then_some(()))
    })?;
    let lease = installation
        .cluster
        .get("kserve", "lease", "llminferenceservice-kserve-controller-manager")?
        .context("no lease")?;
    assert!(lease["spec"]["holderIdentity"].as_str().is_some_and(|it| it.starts_with(CONTROLLERS[1])));

    let mut writes = installation.cluster.requests_since(begin)?;
    writes.retain(|it| it.resource != "leases" && !is_shared(it));
    writes.sort_by(|a, b| a.at.cmp(&b.at));
    let mut writers: Vec<&str> = writes.iter().map(|it| it.user.as_str()).collect();
    writers.dedup();
    assert_eq!(writers, CONTROLLERS, "{writes:#?}");
    Ok(())
}
