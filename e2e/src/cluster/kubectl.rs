//! `kubectl` as the cluster's administrator.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::Cluster;

impl Cluster {
    /// Runs kubectl; returns what it printed.
    ///
    /// # Errors
    /// When it fails; the message is what it printed on standard error.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.kubectl_with_input(arguments, "")
    }

    /// `kubectl apply --server-side -f -` of one or more YAML documents.
    ///
    /// # Errors
    /// When the API server refuses one.
    pub fn apply(&self, yaml: &str) -> Result<String> {
        self.kubectl_with_input(&["apply", "--server-side", "--force-conflicts", "-f", "-"], yaml)
    }

    /// One object as JSON, `None` when it does not exist.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub fn get(&self, namespace: &str, kind: &str, name: &str) -> Result<Option<Value>> {
        let text = self.kubectl(&["-n", namespace, "get", kind, name, "--ignore-not-found", "-o", "json"])?;
        if text.trim().is_empty() { Ok(None) } else { Ok(Some(serde_json::from_str(&text)?)) }
    }

    /// Runs kubectl with `input` on its standard input.
    ///
    /// # Errors
    /// When it fails; the message is what it printed on standard error.
    pub fn kubectl_with_input(&self, arguments: &[&str], input: &str) -> Result<String> {
        Ok(String::from_utf8(self.succeed(arguments, input)?.stdout)?)
    }

    /// As [`Self::kubectl_with_input`], but returns what it printed on standard error: warnings of the API server.
    ///
    /// # Errors
    /// When it fails; the message is what it printed on standard error.
    pub fn kubectl_warnings(&self, arguments: &[&str], input: &str) -> Result<String> {
        Ok(String::from_utf8(self.succeed(arguments, input)?.stderr)?)
    }

    fn succeed(&self, arguments: &[&str], input: &str) -> Result<Output> {
        let mut process = Command::new(self.bin.join("kubectl"))
            .arg(format!("--kubeconfig={}", self.kubeconfig().display()))
            .arg(format!("--cache-dir={}", self.dir().join("kubectl-cache").display()))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run kubectl")?;
        let mut stdin = process.stdin.take().context("standard input is piped")?;
        let input = input.to_owned();
        // Written beside reading, or two full pipes would wait for each other.
        let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        let output = process.wait_with_output()?;
        drop(writer.join());
        if !output.status.success() {
            bail!("kubectl {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(output)
    }
}
