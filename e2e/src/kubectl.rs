//! `kubectl`, told where a cluster is.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Result, bail};
use serde_json::Value;

use crate::command;

/// A cluster as kubectl reaches it.
#[derive(Debug, Clone)]
pub struct Kubectl {
    bin: PathBuf,
    kubeconfig: PathBuf,
    cache: PathBuf,
}

impl Kubectl {
    /// `kubectl` of the folder `bin`, with a kubeconfig and a folder for what it remembers between calls.
    #[must_use]
    pub fn new(bin: &Path, kubeconfig: &Path, folder: &Path) -> Self {
        let cache = folder.join("kubectl-cache");
        Self { bin: bin.to_path_buf(), kubeconfig: kubeconfig.to_path_buf(), cache }
    }

    /// The folder of programs.
    #[must_use]
    pub fn bin(&self) -> &Path {
        &self.bin
    }

    /// The file that says where the cluster is.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The folder of what is remembered between calls.
    #[must_use]
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// Runs kubectl; returns what it printed.
    ///
    /// # Errors
    /// When it fails; the message is what it printed on standard error.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        self.run_with_input(arguments, "")
    }

    /// Runs kubectl with `input` on its standard input.
    ///
    /// # Errors
    /// When it fails; the message is what it printed on standard error.
    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Result<String> {
        Ok(String::from_utf8(self.succeed(arguments, input)?.stdout)?)
    }

    /// As [`Self::run_with_input`], but returns what it printed on standard error: warnings of the API server.
    ///
    /// # Errors
    /// When it fails; the message is what it printed on standard error.
    pub fn warnings(&self, arguments: &[&str], input: &str) -> Result<String> {
        Ok(String::from_utf8(self.succeed(arguments, input)?.stderr)?)
    }

    /// `kubectl apply --server-side -f -` of one or more YAML documents.
    ///
    /// # Errors
    /// When the API server refuses one.
    pub fn apply(&self, yaml: &str) -> Result<String> {
        self.run_with_input(&["apply", "--server-side", "--force-conflicts", "-f", "-"], yaml)
    }

    /// One object as JSON, `None` when it does not exist.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub fn get(&self, namespace: &str, kind: &str, name: &str) -> Result<Option<Value>> {
        let text = self.run(&["-n", namespace, "get", kind, name, "--ignore-not-found", "-o", "json"])?;
        if text.trim().is_empty() { Ok(None) } else { Ok(Some(serde_json::from_str(&text)?)) }
    }

    /// A kubectl command that the caller runs.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.bin.join("kubectl"));
        command
            .arg(format!("--kubeconfig={}", self.kubeconfig.display()))
            .arg(format!("--cache-dir={}", self.cache.display()))
            .args(arguments);
        command
    }

    fn succeed(&self, arguments: &[&str], input: &str) -> Result<Output> {
        let output = command::run(&mut self.command(arguments), input)?;
        if !output.status.success() {
            bail!("kubectl {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(output)
    }
}
