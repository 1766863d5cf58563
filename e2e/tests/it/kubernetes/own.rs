//! What the stories need that have an installation of their own: one without pods, because they are about the cluster
//! and not about what runs in it.

use anyhow::{Context as _, Result};
use llmd_e2e::cluster::Level;
use llmd_e2e::installation::{Installation, Setup};
use serde_json::Value;

/// An installation; `None`, with a word on why, where this machine cannot have one.
pub(super) fn start(setup: Setup<'_>) -> Result<Option<Installation>> {
    match Installation::start(Level::ControlPlane, setup)? {
        Ok(installation) => Ok(Some(installation)),
        Err(reason) => {
            println!("skipped: {reason}");
            Ok(None)
        }
    }
}

/// A service as a YAML document; `rest` are further fields of its spec.
pub(super) fn service(name: &str, rest: &str) -> String {
    format!(
        "---\napiVersion: serving.kserve.io/v1alpha2\nkind: LLMInferenceService\nmetadata: {{name: {name}}}\n\
         spec: {{model: {{uri: 'hf://org/{name}', name: {name}}}, {rest}}}\n"
    )
}

/// The Deployment of a service.
pub(super) fn deployment(installation: &Installation, service: &str) -> Result<Option<Value>> {
    installation.cluster.get("default", "deployment", &format!("{service}-kserve"))
}

/// Waits until the Deployment of a service has `replicas`.
pub(super) fn has_replicas(installation: &Installation, service: &str, replicas: u32) -> Result<()> {
    installation.eventually(&format!("{service} has {replicas} replicas"), || {
        let deployment = deployment(installation, service)?;
        Ok(deployment.filter(|it| it["spec"]["replicas"] == replicas).map(drop))
    })
}

/// Waits until the message of a condition contains `part`.
pub(super) fn says(installation: &Installation, service: &str, type_: &str, part: &str) -> Result<()> {
    installation.eventually(&format!("{service}: {type_} says {part:?}"), || {
        let service = installation.cluster.get("default", "llmisvc", service)?.context("no such service")?;
        let conditions = service["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let message = conditions.iter().find(|it| it["type"] == type_).and_then(|it| it["message"].as_str());
        Ok(message.is_some_and(|it| it.contains(part)).then_some(()))
    })
}

/// Waits until a condition has this status.
pub(super) fn has_condition(
    installation: &Installation,
    service: &str,
    type_: &str,
    status: &str,
) -> Result<()> {
    installation.eventually(&format!("{service}: {type_} is {status}"), || {
        let service = installation.cluster.get("default", "llmisvc", service)?.context("no such service")?;
        let conditions = service["status"]["conditions"].as_array().cloned().unwrap_or_default();
        Ok(conditions.iter().any(|it| it["type"] == type_ && it["status"] == status).then_some(()))
    })
}

/// Values of a metric, with the labels of each.
pub(super) fn series(metrics: &str, name: &str) -> Vec<(String, f64)> {
    let lines = metrics.lines().filter_map(|it| it.strip_prefix(name)?.rsplit_once(' '));
    lines.filter_map(|(labels, value)| Some((labels.to_owned(), value.parse().ok()?))).collect()
}
