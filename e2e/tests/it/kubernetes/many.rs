//! Many services at once: each object is written once, and a turn that finds everything in place writes nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Result;
use llmd_e2e::cluster::{Level, Write};
use llmd_e2e::installation::{Installation, Setup};
use serde_json::Value;

const COUNT: usize = 100;
const NAMESPACE: &str = "many";
/// Writes of the status that one service may cost: the first, and one when its objects have changed it.
const STATUS_WRITES: usize = 2;

fn services() -> String {
    let mut text = String::new();
    for number in 0..COUNT {
        let _ = write!(
            text,
            "---
apiVersion: serving.kserve.io/v1alpha2
kind: LLMInferenceService
metadata: {{name: chat-{number:03}, namespace: {NAMESPACE}}}
spec:
  model: {{uri: 'hf://org/tiny', name: tiny}}
  router: {{route: {{}}, gateway: {{}}, scheduler: {{}}}}
"
        );
    }
    text
}

#[test]
fn a_hundred_services_cost_one_write_for_each_object_and_none_when_they_are_looked_at_again() -> Result<()> {
    // Nothing acts on the objects, so every write is the controller's own idea.
    let installation = match Installation::start(Level::ControlPlane, Setup::default())? {
        Ok(installation) => installation,
        Err(reason) => {
            println!("skipped: {reason}");
            return Ok(());
        }
    };
    installation.install_gateway()?;
    installation.cluster.kubectl(&["create", "namespace", NAMESPACE])?;

    let begin = installation.cluster.audit_position();
    installation.cluster.apply(&services())?;
    converged(&installation)?;
    idle(&installation)?;
    let writes = installation.cluster.writes_since(begin)?;
    assert!(writes.iter().all(|it| it.code < 300 || it.code == 409), "{:?}", failed(&writes));
    let by_object = by_object(&writes);
    for resource in ["deployments", "services", "secrets", "httproutes", "inferencepools", "rolebindings"] {
        let names = by_object.keys().filter(|(it, _)| *it == resource).count();
        assert!(names > 0 && names % COUNT == 0, "{names} {resource}");
    }
    for ((resource, name), count) in by_object {
        let bound = match resource {
            "llminferenceservices/status" => STATUS_WRITES,
            // A preset lists the services that use it: at most one write for each of them.
            "llminferenceserviceconfigs/status" => COUNT,
            _ => 1,
        };
        assert!(count <= bound, "{resource} {name} was written {count} times");
    }

    let begin = installation.cluster.audit_position();
    let turns = turns(&installation)?;
    installation.cluster.kubectl(&["-n", NAMESPACE, "annotate", "llmisvc", "--all", "example.com/poke=1"])?;
    installation.eventually("every service is looked at again", || {
        Ok((self::turns(&installation)? >= turns + COUNT).then_some(()))
    })?;
    idle(&installation)?;
    let writes = installation.cluster.writes_since(begin)?;
    assert!(writes.is_empty(), "{writes:?}");
    Ok(())
}

/// Waits until every service has a status of its latest spec.
fn converged(installation: &Installation) -> Result<()> {
    installation.eventually("every service has a status", || {
        let list = installation.cluster.kubectl(&["-n", NAMESPACE, "get", "llmisvc", "-o", "json"])?;
        let list: Value = serde_json::from_str(&list)?;
        let services = list["items"].as_array().cloned().unwrap_or_default();
        let current = |it: &&Value| it["status"]["observedGeneration"] == it["metadata"]["generation"];
        Ok((services.iter().filter(current).count() == COUNT).then_some(()))
    })
}

/// Waits until the controller has written nothing for some looks in a row.
fn idle(installation: &Installation) -> Result<()> {
    let (mut position, mut looks) = (0, 0);
    installation.eventually("the controller is idle", || {
        let now = installation.cluster.audit_position();
        looks = if now == position { looks + 1 } else { 0 };
        position = now;
        Ok((looks >= 20).then_some(()))
    })
}

/// Turns of services that the controller has finished.
fn turns(installation: &Installation) -> Result<usize> {
    let metrics = installation.metrics()?;
    let of_services = metrics.lines().filter(|it| {
        it.starts_with("llmd_controller_reconcile_total") && it.contains("\"llminferenceservice\"")
    });
    Ok(of_services.filter_map(|it| it.rsplit(' ').next()?.parse::<usize>().ok()).sum())
}

fn failed(writes: &[Write]) -> Vec<&Write> {
    writes.iter().filter(|it| it.code >= 300).take(5).collect()
}

/// How often each object was written. Judging an effective spec creates nothing and has no name.
fn by_object(writes: &[Write]) -> BTreeMap<(&str, &str), usize> {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for write in writes.iter().filter(|it| !it.name.is_empty() && it.code < 300 && it.verb != "create") {
        *counts.entry((&write.resource, &write.name)).or_default() += 1;
    }
    counts
}
