//! A stack brought up by `llmd up` for one story, gone when the story ends.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::args::programs;
use crate::client::Client;
use crate::metrics;

/// Debug builds on a busy machine still come up within this time.
const READY_DEADLINE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(100);

/// A running stack. Dropping it kills `llmd up`, and its children die with it.
#[derive(Debug)]
pub struct Stack {
    up: Child,
    dir: TempDir,
}

/// Path of a program of this workspace, built beside the running test.
///
/// # Errors
/// When it has not been built.
pub fn program(name: &str) -> Result<PathBuf> {
    let path = programs()?.join(name);
    if !path.exists() {
        bail!("{} is not built: run `cargo xtask test`, or `cargo build --workspace` first", path.display());
    }
    Ok(path)
}

/// `llmd` with `args`, run to its end.
///
/// # Errors
/// When it cannot be run.
pub async fn llmd(args: &[&str]) -> Result<std::process::Output> {
    Ok(Command::new(program("llmd")?).args(args).stdin(Stdio::null()).kill_on_drop(true).output().await?)
}

impl Stack {
    /// Starts `llmd up --port 0` with more `args` and waits until every component is ready.
    ///
    /// # Errors
    /// When it ends or is not ready in time; the message holds what it printed.
    pub async fn up(args: &[&str]) -> Result<Self> {
        let dir = TempDir::new()?;
        let log = std::fs::File::create(dir.path().join("up.txt"))?;
        let up = Command::new(program("llmd")?)
            .args(["up", "--port", "0", "--dir"])
            .arg(dir.path())
            .args(args)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        let mut stack = Self { up, dir };
        stack.wait_ready().await?;
        Ok(stack)
    }

    /// As [`Stack::up`] with Envoy as the gateway; `None` where there is no Envoy and no way to install it.
    ///
    /// # Errors
    /// See [`Stack::up`].
    pub async fn up_with_envoy() -> Result<Option<Self>> {
        match Self::up(&["--gateway", "envoy"]).await {
            Ok(stack) => Ok(Some(stack)),
            Err(error) if format!("{error:#}").contains("envoy is not on PATH") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// State folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Process id of `llmd up`.
    ///
    /// # Errors
    /// When it has ended.
    pub fn pid(&self) -> Result<u32> {
        self.up.id().context("llmd up has ended")
    }

    /// What `llmd status --json` says.
    ///
    /// # Errors
    /// When the command fails.
    pub async fn status(&self) -> Result<Value> {
        let output = llmd(&["status", "--json", "--dir", &self.dir.path().to_string_lossy()]).await?;
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("llmd status: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// Waits until every component is ready.
    ///
    /// # Errors
    /// When that takes too long or `llmd up` ends.
    pub async fn wait_ready(&mut self) -> Result<()> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.up.try_wait()? {
                bail!("llmd up ended with {status}:\n{}", self.printed());
            }
            let status = self.status().await?;
            if status["state"] == "ready" {
                return Ok(());
            }
            if started.elapsed() > READY_DEADLINE {
                bail!("not ready after {READY_DEADLINE:?}: {status:#}\n{}", self.printed());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// What `llmd up` has printed so far.
    #[must_use]
    pub fn printed(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("up.txt")).unwrap_or_default()
    }

    /// The component called `name` in the status.
    ///
    /// # Errors
    /// When there is none.
    pub async fn component(&self, name: &str) -> Result<Value> {
        let status = self.status().await?;
        let components = status["components"].as_array().context("status lists components")?;
        components
            .iter()
            .find(|it| it["name"] == name)
            .cloned()
            .with_context(|| format!("no component {name}"))
    }

    /// A component's URL for `purpose`.
    ///
    /// # Errors
    /// When there is none.
    pub async fn url(&self, name: &str, purpose: &str) -> Result<String> {
        let component = self.component(name).await?;
        let url = component["urls"][purpose].as_str();
        Ok(url.with_context(|| format!("{name} has no {purpose} URL"))?.to_owned())
    }

    /// A component's process id.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn component_pid(&self, name: &str) -> Result<u32> {
        let pid = self.component(name).await?["pid"].as_u64();
        Ok(u32::try_from(pid.with_context(|| format!("{name} does not run"))?)?)
    }

    /// Sum of a metric over the series of a component whose labels contain `labels`.
    ///
    /// # Errors
    /// When the component does not answer.
    pub async fn metric(&self, name: &str, metric: &str, labels: &str) -> Result<f64> {
        metrics::sum(&self.url(name, "http").await?, metric, labels).await
    }

    /// A client of the gateway.
    ///
    /// # Errors
    /// When the status names no gateway.
    pub async fn client(&self) -> Result<Client> {
        let status = self.status().await?;
        Ok(Client::new(status["gateway"]["url"].as_str().context("status names the gateway")?))
    }

    /// Waits for `llmd up` to end.
    ///
    /// # Errors
    /// When it does not within a minute.
    pub async fn wait_ended(&mut self) -> Result<std::process::ExitStatus> {
        Ok(tokio::time::timeout(Duration::from_secs(60), self.up.wait())
            .await
            .context("llmd up does not end")??)
    }
}

/// Polls `check` until it holds.
///
/// # Errors
/// When it does not hold within `deadline`; the message is the last reason.
pub async fn eventually<F, Fut>(deadline: Duration, mut check: F) -> Result<()>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<()>>,
{
    let started = Instant::now();
    loop {
        match check().await {
            Ok(()) => return Ok(()),
            Err(error) if started.elapsed() > deadline => return Err(error),
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}
