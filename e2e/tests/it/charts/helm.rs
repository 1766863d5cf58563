//! Helm as a program: beside the programs of Kubernetes, with folders of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use llmd_e2e::args::kubernetes_programs;
use serde_json::Value;
use tempfile::TempDir;

use super::{NAMESPACE, RELEASE, root};

/// A Helm that reads and writes nothing of the user's.
pub(super) struct Helm {
    program: PathBuf,
    folders: TempDir,
    kubeconfig: Option<PathBuf>,
}

impl Helm {
    /// The Helm that `cargo xtask k8s` built; `None` when there is none.
    pub(super) fn find() -> Result<Option<Self>> {
        let program = kubernetes_programs()?.join("helm");
        if !program.exists() {
            return Ok(None);
        }
        Ok(Some(Self { program, folders: TempDir::new()?, kubeconfig: None }))
    }

    /// The same for a cluster.
    pub(super) fn in_cluster(mut self, kubeconfig: &Path) -> Self {
        self.kubeconfig = Some(kubeconfig.to_path_buf());
        self
    }

    /// Runs Helm; returns what it printed.
    ///
    /// # Errors
    /// When it fails; the message is what it printed on standard error.
    pub(super) fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.program);
        for (variable, folder) in
            [("HELM_CACHE_HOME", "cache"), ("HELM_CONFIG_HOME", "config"), ("HELM_DATA_HOME", "data")]
        {
            command.env(variable, self.folders.path().join(folder));
        }
        match &self.kubeconfig {
            Some(kubeconfig) => command.env("KUBECONFIG", kubeconfig),
            None => command.env_remove("KUBECONFIG"),
        };
        let output =
            command.args(arguments).current_dir(root().join("charts")).output().context("cannot run helm")?;
        if !output.status.success() {
            bail!("helm {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The objects that a chart renders, without those of `helm test`.
    ///
    /// # Errors
    /// When it does not render.
    pub(super) fn template(&self, chart: &str, arguments: &[&str]) -> Result<Vec<Value>> {
        let fixed = ["template", RELEASE, chart, "--namespace", NAMESPACE, "--skip-tests"];
        let text = self.run(&[fixed.as_slice(), arguments].concat())?;
        objects(&text).with_context(|| format!("{chart} does not render YAML"))
    }

    /// The objects of `helm test` of a chart.
    ///
    /// # Errors
    /// When it does not render.
    pub(super) fn tests(&self, chart: &str, arguments: &[&str]) -> Result<Vec<Value>> {
        let fixed = ["template", RELEASE, chart, "--namespace", NAMESPACE];
        let text = self.run(&[fixed.as_slice(), arguments].concat())?;
        let is_test = |it: &Value| it["metadata"]["annotations"]["helm.sh/hook"].as_str() == Some("test");
        Ok(objects(&text)?.into_iter().filter(is_test).collect())
    }
}

/// The documents of a rendered chart; a document may hold nothing but a comment.
fn objects(text: &str) -> Result<Vec<Value>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text)?;
    Ok(documents.into_iter().filter(|it| !it.is_null()).collect())
}
