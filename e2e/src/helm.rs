//! `helm`, told where a cluster is.

use std::process::Command;

use anyhow::Result;

use crate::command;
use crate::kubectl::Kubectl;

/// Runs helm; returns what it printed. What it remembers lies beside kubectl's cache and not in a home folder.
///
/// # Errors
/// When it fails; the message is what it printed on standard error.
pub fn helm(kubectl: &Kubectl, arguments: &[&str]) -> Result<String> {
    let mut helm = Command::new(kubectl.bin().join("helm"));
    for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        helm.env(variable, kubectl.cache().join("helm"));
    }
    helm.env("KUBECONFIG", kubectl.kubeconfig()).args(arguments);
    command::output(&mut helm)
}
