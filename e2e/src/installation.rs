//! The controller installed in a throw-away cluster: CRDs, presets, settings, webhooks, and its process outside the
//! cluster on loopback, as the administrator would run it from a shell.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::args::{kubernetes_programs, target};
use crate::cluster::{CONTROLLER, Cluster, Level, free_port};
use crate::stack::program;

pub mod gateway;
mod webhooks;

/// Where presets and settings are.
pub const SYSTEM_NAMESPACE: &str = "kserve";

/// Busy machines need their time to register two hundred types.
const READY_DEADLINE: Duration = Duration::from_secs(120);
/// How long an outcome may take that is nearly at once on an idle machine.
const OUTCOME_DEADLINE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(100);

/// CRDs of other projects that the cluster has from the start; the stories of late CRDs leave some out.
pub const FOREIGN_CRDS: [&str; 8] = [
    "gateway.networking.k8s.io_gatewayclasses.yaml",
    "gateway.networking.k8s.io_gateways.yaml",
    "gateway.networking.k8s.io_httproutes.yaml",
    "inference.networking.k8s.io_inferencepools.yaml",
    "keda.sh_scaledobjects.yaml",
    "leaderworkerset.x-k8s.io_leaderworkersets.yaml",
    "monitoring.coreos.com_podmonitors.yaml",
    "monitoring.coreos.com_servicemonitors.yaml",
];

/// A cluster with a running controller.
#[derive(Debug)]
pub struct Installation {
    pub cluster: Cluster,
    controller: Option<Controller>,
}

/// The controller's process.
#[derive(Debug)]
struct Controller {
    process: Child,
    metrics: u16,
}

/// What an installation leaves out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Without<'a> {
    pub foreign_crds: &'a [&'a str],
    pub presets: bool,
}

/// The installation that stories share while at least one of them runs.
static SHARED: Mutex<Weak<Installation>> = Mutex::new(Weak::new());

impl Installation {
    /// The shared installation, or why there is none on this machine. Stories in it keep to a namespace of their
    /// own; what concerns the whole cluster takes an installation of its own.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn shared() -> Result<Result<Arc<Self>, String>> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(installation) = shared.upgrade() {
            return Ok(Ok(installation));
        }
        Ok(Self::start(Level::FakeNode, Without::default())?.map(|it| {
            let it = Arc::new(it);
            *shared = Arc::downgrade(&it);
            it
        }))
    }

    /// A new cluster and a controller in it, or why there is none on this machine.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(level: Level, without: Without<'_>) -> Result<Result<Self, String>> {
        let cluster = match Cluster::start(level)? {
            Ok(cluster) => cluster,
            Err(reason) => return Ok(Err(reason)),
        };
        let foreign = foreign_crds()?;
        if let Some(missing) = FOREIGN_CRDS.iter().find(|name| !foreign.join(name).exists()) {
            return Ok(Err(format!("no {missing} in {}: `cargo xtask k8s` fetches it", foreign.display())));
        }
        let mut installation = Self { cluster, controller: None };
        for name in FOREIGN_CRDS.iter().filter(|name| !without.foreign_crds.contains(name)) {
            installation.install_crds(&foreign.join(name))?;
        }
        installation.install_crds(&root().join("charts/llmd-crds/files/full"))?;
        // Asked again, because kubectl fails at a CRD that has no condition at all yet.
        let wait = ["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"];
        installation.eventually("the CRDs are served", || installation.cluster.kubectl(&wait).map(Some))?;
        installation.cluster.kubectl(&["create", "namespace", SYSTEM_NAMESPACE])?;
        installation.grant_rights()?;
        installation.start_controller()?;
        if !without.presets {
            installation.install_presets(&root().join("crates/controller/presets"))?;
        }
        Ok(Ok(installation))
    }

    /// Applies a CRD file or a folder of them.
    ///
    /// # Errors
    /// When the API server refuses one.
    pub fn install_crds(&self, path: &Path) -> Result<()> {
        let path = path.display().to_string();
        self.cluster.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &path]).map(drop)
    }

    /// Applies the presets of a folder into the system namespace.
    ///
    /// # Errors
    /// When the API server refuses one.
    pub fn install_presets(&self, folder: &Path) -> Result<()> {
        let folder = folder.display().to_string();
        self.cluster.kubectl(&["-n", SYSTEM_NAMESPACE, "apply", "--server-side", "-f", &folder]).map(drop)
    }

    /// Starts the controller with its webhooks and waits until it is ready and the API server trusts it.
    ///
    /// # Errors
    /// When it ends or is not ready in time; the message holds the end of its log.
    pub fn start_controller(&mut self) -> Result<()> {
        let (metrics, health, webhook) = (free_port()?, free_port()?, free_port()?);
        let log = std::fs::File::options().append(true).create(true).open(self.controller_log())?;
        self.register_webhooks(webhook)?;
        let process = Command::new(program("llmd-controller")?)
            .arg(format!("--kubeconfig={}", self.cluster.controller_kubeconfig().display()))
            .arg(format!("--metrics-addr=127.0.0.1:{metrics}"))
            .arg("--metrics-secure=false")
            .arg(format!("--health-probe-addr=127.0.0.1:{health}"))
            .arg("--webhook-bind-address=127.0.0.1")
            .arg(format!("--webhook-port={webhook}"))
            .arg("--leader-elect=false")
            .env("POD_NAMESPACE", SYSTEM_NAMESPACE)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let controller = self.controller.insert(Controller { process, metrics });
        let start = Instant::now();
        while !http_ok(health, "/readyz") {
            if let Some(status) = controller.process.try_wait()? {
                bail!("llmd-controller ended ({status}): {}", self.controller_log_tail());
            }
            if start.elapsed() > READY_DEADLINE {
                bail!(
                    "llmd-controller is not ready after {READY_DEADLINE:?}: {}",
                    self.controller_log_tail()
                );
            }
            std::thread::sleep(POLL);
        }
        self.eventually("the API server uses the webhooks", || self.webhooks_work().map(Some))
    }

    /// Ends the controller as a crash would.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub fn kill_controller(&mut self) -> Result<()> {
        let mut controller = self.controller.take().context("no controller runs")?;
        controller.process.kill()?;
        controller.process.wait()?;
        Ok(())
    }

    /// Process id of the controller.
    #[must_use]
    pub fn controller_pid(&self) -> Option<u32> {
        self.controller.as_ref().map(|it| it.process.id())
    }

    /// The controller's `/metrics`.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn metrics(&self) -> Result<String> {
        let controller = self.controller.as_ref().context("no controller runs")?;
        http_get(controller.metrics, "/metrics").context("the controller's metrics do not answer")
    }

    /// Where the controller logs.
    #[must_use]
    pub fn controller_log(&self) -> PathBuf {
        self.cluster.dir().join("llmd-controller.log")
    }

    fn controller_log_tail(&self) -> String {
        let log = std::fs::read_to_string(self.controller_log()).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(12).collect();
        tail.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Gives the controller the rights that the chart gives it, and no other.
    fn grant_rights(&self) -> Result<()> {
        let rights = root().join("charts/llmd-controller/files/rights.yaml").display().to_string();
        self.cluster.kubectl(&["-n", SYSTEM_NAMESPACE, "apply", "--server-side", "-f", &rights])?;
        let user = format!("--user={CONTROLLER}");
        self.cluster.kubectl(&[
            "create",
            "clusterrolebinding",
            CONTROLLER,
            "--clusterrole=llmd-controller",
            &user,
        ])?;
        let arguments =
            ["-n", SYSTEM_NAMESPACE, "create", "rolebinding", CONTROLLER, "--role=llmd-controller", &user];
        self.cluster.kubectl(&arguments).map(drop)
    }

    /// Polls until `found` answers with something; `what` is for the message when it does not.
    ///
    /// # Errors
    /// When it does not in time, with the end of the controller's log.
    pub fn eventually<T>(&self, what: &str, mut found: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        let start = Instant::now();
        let mut last = None;
        while start.elapsed() < OUTCOME_DEADLINE {
            match found() {
                Ok(Some(it)) => return Ok(it),
                Ok(None) => last = None,
                Err(error) => last = Some(error),
            }
            std::thread::sleep(POLL);
        }
        let last = last.map(|it| format!(" (last error: {it:#})")).unwrap_or_default();
        bail!("not after {OUTCOME_DEADLINE:?}: {what}{last}\n{}", self.controller_log_tail())
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        if let Some(controller) = &mut self.controller {
            let _ = controller.process.kill();
            let _ = controller.process.wait();
        }
    }
}

/// Root of the workspace.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace")
}

/// Folder of the CRDs of other projects, beside the programs that `cargo xtask k8s` builds.
///
/// # Errors
/// When the running test does not lie in a target folder.
pub fn foreign_crds() -> Result<PathBuf> {
    let beside = kubernetes_programs()?.with_file_name("crds");
    Ok(if beside.exists() { beside } else { target()?.join("k8s/crds") })
}

fn http_ok(port: u16, path: &str) -> bool {
    http_get(port, path).is_some()
}

/// The body of a 200 answer over plain HTTP/1.0.
fn http_get(port: u16, path: &str) -> Option<String> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.contains(" 200 ").then(|| body.to_owned())
}
