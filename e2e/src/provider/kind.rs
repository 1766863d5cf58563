//! Kubernetes in a container, made by `kind`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::{NAME, Provider};
use crate::args::{is_on_path, kubernetes_programs};
use crate::command;
use crate::kubectl::Kubectl;
use crate::skip::{Skip, skip};

/// Programs that run containers as kind drives them, the likelier one first.
const ENGINES: [&str; 2] = ["docker", "podman"];
/// Image of the try whether privileged containers run.
const PROBE: &str = "llmd-e2e-probe:1";

#[derive(Debug)]
pub(super) struct Kind {
    bin: PathBuf,
    engine: &'static str,
    kubectl: Kubectl,
    folder: Option<TempDir>,
}

impl Kind {
    pub(super) fn reason_against() -> Option<String> {
        first(answers).err().map(|reasons| format!("kind needs a container engine: {reasons}"))
    }

    pub(super) fn start(reuse: bool) -> Result<Self> {
        let bin = kubernetes_programs()?;
        if !bin.join("kind").exists() {
            return skip(format!("no kind in {}: `cargo xtask k8s --add kind` builds it", bin.display()));
        }
        let engine = engine(&bin)?;
        let folder = TempDir::new()?;
        let kubeconfig = folder.path().join("kubeconfig");
        let kubectl = Kubectl::new(&bin, &kubeconfig, folder.path());
        let it = Self { bin, engine, kubectl, folder: Some(folder) };
        let exists = it.kind(&["get", "clusters"])?.lines().any(|it| it == NAME);
        let file = kubeconfig.display().to_string();
        if exists && reuse {
            it.kind(&["export", "kubeconfig", "--name", NAME, "--kubeconfig", &file])?;
            return Ok(it);
        }
        if exists {
            it.kind(&["delete", "cluster", "--name", NAME])?;
        }
        it.kind(&["create", "cluster", "--name", NAME, "--kubeconfig", &file, "--wait=180s"])?;
        Ok(it)
    }

    fn kind(&self, arguments: &[&str]) -> Result<String> {
        kind(&self.bin, self.engine, arguments)
    }
}

impl Provider for Kind {
    fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    fn load(&self, archive: &Path) -> Result<()> {
        let archive = archive.to_str().context("an archive's path is text")?;
        self.kind(&["load", "image-archive", archive, "--name", NAME]).map(drop)
    }

    fn takes_archives(&self) -> bool {
        true
    }

    fn has_routes(&self) -> bool {
        false
    }

    /// kind's own logs are inside its container; the diagnostics of kubectl cover what stories need.
    fn logs(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    fn keep(mut self: Box<Self>) {
        if let Some(folder) = &mut self.folder {
            folder.disable_cleanup(true);
        }
        self.folder = None;
    }
}

impl Drop for Kind {
    fn drop(&mut self) {
        if self.folder.is_some() {
            // What cannot be deleted now is deleted by the next run.
            let _ = self.kind(&["delete", "cluster", "--name", NAME]);
        }
    }
}

/// Deletes the cluster, if there is one.
pub(super) fn delete() -> Result<()> {
    let bin = kubernetes_programs()?;
    kind(&bin, engine(&bin)?, &["delete", "cluster", "--name", NAME]).map(drop)
}

fn kind(bin: &Path, engine: &str, arguments: &[&str]) -> Result<String> {
    let mut kind = Command::new(bin.join("kind"));
    command::output(kind.env("KIND_EXPERIMENTAL_PROVIDER", engine).args(arguments))
}

/// A container engine that runs privileged containers, which kind needs for its nodes; found out by running one.
///
/// # Errors
/// A [`Skip`] with what every engine said.
fn engine(bin: &Path) -> Result<&'static str> {
    first(|it| answers(it).and_then(|()| runs_privileged(it, bin))).map_err(|reasons| {
        Skip(format!("kind needs an engine that runs privileged containers: {reasons}")).into()
    })
}

/// The first engine that is fit, or why none is.
fn first(is_fit: impl Fn(&str) -> Result<()>) -> Result<&'static str, String> {
    let mut reasons = Vec::new();
    for engine in ENGINES {
        match is_fit(engine) {
            Ok(()) => return Ok(engine),
            Err(error) => reasons.push(last_line(&error)),
        }
    }
    Err(reasons.join("; "))
}

fn answers(engine: &str) -> Result<()> {
    ensure!(is_on_path(engine), "no {engine} on PATH");
    command::output(Command::new(engine).arg("info")).map(drop)
}

fn last_line(error: &anyhow::Error) -> String {
    format!("{error:#}").lines().last().unwrap_or_default().to_owned()
}

/// Runs the small server's program once, as a privileged container of an image made of that one file.
fn runs_privileged(engine: &str, bin: &Path) -> Result<()> {
    let mut tar =
        Command::new("tar").arg("-C").arg(bin).args(["-cf", "-", "hello"]).stdout(Stdio::piped()).spawn()?;
    let archive = tar.stdout.take().context("standard output is piped")?;
    let imported = Command::new(engine).args(["import", "-", PROBE]).stdin(archive).output()?;
    tar.wait()?;
    ensure!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr).trim());
    let run = ["run", "--rm", "--privileged", "--network=none", PROBE, "/hello", "cat", "/proc/self/status"];
    command::output(Command::new(engine).args(run)).map(drop)
}
