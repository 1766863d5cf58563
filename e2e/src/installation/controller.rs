//! One process of the controller: how it is started, asked and ended.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::{READY_DEADLINE, SYSTEM_NAMESPACE};
use crate::cluster::{Cluster, free_port};
use crate::stack::program;

const POLL: Duration = Duration::from_millis(100);

/// A running controller. It dies with this value.
#[derive(Debug)]
pub struct Controller {
    process: Child,
    metrics: u16,
    health: u16,
    log: PathBuf,
}

impl Controller {
    /// Starts the controller as `user` of the cluster, with its webhooks on port `webhook`. With `elect` it only works
    /// while it holds the lease; with `monitoring` services get monitors.
    pub(super) fn start(
        cluster: &Cluster,
        user: &str,
        webhook: u16,
        elect: bool,
        monitoring: bool,
    ) -> Result<Self> {
        let (metrics, health) = (free_port()?, free_port()?);
        let path = cluster.dir().join(format!("{user}.log"));
        let log = std::fs::File::options().append(true).create(true).open(&path)?;
        let process = Command::new(program("llmd-controller")?)
            .arg(format!("--kubeconfig={}", cluster.kubeconfig_of(user).display()))
            .arg(format!("--metrics-addr=127.0.0.1:{metrics}"))
            .arg("--metrics-secure=false")
            .arg(format!("--health-probe-addr=127.0.0.1:{health}"))
            .arg("--webhook-bind-address=127.0.0.1")
            .arg(format!("--webhook-port={webhook}"))
            .arg(format!("--leader-elect={elect}"))
            .arg(format!("--monitoring={monitoring}"))
            .env("POD_NAMESPACE", SYSTEM_NAMESPACE)
            .env("POD_NAME", user)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Ok(Self { process, metrics, health, log: path })
    }

    /// Waits until `/readyz` says so.
    pub(super) fn ready(&mut self) -> Result<()> {
        let start = Instant::now();
        while !self.probe("/readyz").is_ok_and(|(status, _)| status == 200) {
            if let Some(status) = self.process.try_wait()? {
                bail!("llmd-controller ended ({status}): {}", self.log_tail());
            }
            if start.elapsed() > READY_DEADLINE {
                bail!("llmd-controller is not ready after {READY_DEADLINE:?}: {}", self.log_tail());
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The port of its metrics, without TLS.
    #[must_use]
    pub const fn metrics_port(&self) -> u16 {
        self.metrics
    }

    /// Ends it as a crash would.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub fn kill(mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Its `/metrics`.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn metrics(&self) -> Result<String> {
        let (status, body) = http_get(self.metrics, "/metrics").context("the controller's metrics")?;
        if status == 200 { Ok(body) } else { bail!("/metrics answers {status}: {body}") }
    }

    /// What the port of the probes answers: status and body.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn probe(&self, path: &str) -> Result<(u16, String)> {
        http_get(self.health, path)
    }

    /// What it has logged, also before a restart.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(&self.log)?)
    }

    fn log_tail(&self) -> String {
        super::tail(&self.log)
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Status and body of an answer over plain HTTP.
fn http_get(port: u16, path: &str) -> Result<(u16, String)> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no whole answer")?;
    let status = head.split(' ').nth(1).context("no status")?;
    Ok((status.parse()?, body.to_owned()))
}
