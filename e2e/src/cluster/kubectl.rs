//! `kubectl` as the cluster's administrator.

use anyhow::Result;
use serde_json::Value;

use super::Cluster;
use crate::kubectl::Kubectl;

impl Cluster {
    /// The administrator's kubectl.
    #[must_use]
    pub fn client(&self) -> Kubectl {
        Kubectl::new(&self.bin, &self.kubeconfig(), self.dir())
    }

    /// Runs kubectl; returns what it printed.
    ///
    /// # Errors
    /// When it fails; the message is what it printed on standard error.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.client().run(arguments)
    }

    /// `kubectl apply --server-side -f -` of one or more YAML documents.
    ///
    /// # Errors
    /// When the API server refuses one.
    pub fn apply(&self, yaml: &str) -> Result<String> {
        self.client().apply(yaml)
    }

    /// One object as JSON, `None` when it does not exist.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub fn get(&self, namespace: &str, kind: &str, name: &str) -> Result<Option<Value>> {
        self.client().get(namespace, kind, name)
    }

    /// Runs kubectl with `input` on its standard input.
    ///
    /// # Errors
    /// When it fails; the message is what it printed on standard error.
    pub fn kubectl_with_input(&self, arguments: &[&str], input: &str) -> Result<String> {
        self.client().run_with_input(arguments, input)
    }

    /// As [`Self::kubectl_with_input`], but returns what it printed on standard error: warnings of the API server.
    ///
    /// # Errors
    /// When it fails; the message is what it printed on standard error.
    pub fn kubectl_warnings(&self, arguments: &[&str], input: &str) -> Result<String> {
        self.client().warnings(arguments, input)
    }
}
