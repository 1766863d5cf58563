//! `helm`, told where a cluster is.

use std::process::Command;

use anyhow::Result;

use crate::command;
use crate::kubectl::Kubectl;

/// Runs helm; returns what it printed.
///
/// # Errors
/// When it fails; the message is what it printed on standard error.
pub fn helm(kubectl: &Kubectl, arguments: &[&str]) -> Result<String> {
    let mut helm = Command::new(kubectl.bin().join("helm"));
    lead(&mut helm, kubectl);
    command::output(helm.args(arguments))
}

/// Leads whatever `command` runs to the cluster. What helm remembers lies beside kubectl's cache and not in a home
/// folder.
pub fn lead(command: &mut Command, kubectl: &Kubectl) {
    for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        command.env(variable, kubectl.cache().join("helm"));
    }
    command.env("KUBECONFIG", kubectl.kubeconfig());
}

/// Whether the latest revision of a release is deployed, and not one that failed or was cut short.
///
/// # Errors
/// When the cluster cannot be asked.
pub fn is_deployed(kubectl: &Kubectl, release: &str, namespace: &str) -> Result<bool> {
    let filter = format!("^{release}$");
    let deployed = helm(kubectl, &["list", "--deployed", "--short", "--filter", &filter, "-n", namespace])?;
    Ok(!deployed.is_empty())
}

/// Removes what an unfinished install left of a release, if there is anything: Helm upgrades no such release.
///
/// # Errors
/// When it does not go.
pub fn clear(kubectl: &Kubectl, release: &str, namespace: &str) -> Result<()> {
    let uninstall = ["uninstall", release, "-n", namespace, "--ignore-not-found", "--wait", "--timeout=120s"];
    helm(kubectl, &uninstall).map(drop)
}
