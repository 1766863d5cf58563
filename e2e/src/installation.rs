//! The controller installed in a throw-away cluster: CRDs, presets, settings, webhooks, and its process outside the
//! cluster on loopback, as the administrator would run it from a shell.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};

use crate::args::{kubernetes_programs, target};
use crate::cluster::{CONTROLLER_GROUP, CONTROLLERS, Cluster, Level, free_port};
use crate::outcome;

mod controller;
pub mod gateway;
mod webhooks;

pub use controller::Controller;

/// Where presets and settings are.
pub const SYSTEM_NAMESPACE: &str = "kserve";

/// Busy machines need their time to register two hundred types.
const READY_DEADLINE: Duration = Duration::from_secs(120);
/// How long an outcome may take that is nearly at once on an idle machine.
const OUTCOME_DEADLINE: Duration = Duration::from_secs(120);

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

/// A cluster with a running controller. When it goes, the controller must never have lacked a right.
#[derive(Debug)]
pub struct Installation {
    pub cluster: Cluster,
    controller: Option<Controller>,
    /// Port that the API server calls.
    webhook: u16,
    monitoring: bool,
}

/// What is special about an installation.
#[derive(Debug, Clone, Copy, Default)]
pub struct Setup<'a> {
    /// Those of [`FOREIGN_CRDS`] that the cluster lacks.
    pub without_crds: &'a [&'a str],
    pub without_presets: bool,
    /// Whether services get monitors, read by accounts that may read metrics.
    pub monitoring: bool,
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
        Ok(Self::start(Level::FakeNode, Setup::default())?.map(|it| {
            let it = Arc::new(it);
            *shared = Arc::downgrade(&it);
            it
        }))
    }

    /// A new cluster and a controller in it, or why there is none on this machine.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(level: Level, setup: Setup<'_>) -> Result<Result<Self, String>> {
        let cluster = match Cluster::start(level)? {
            Ok(cluster) => cluster,
            Err(reason) => return Ok(Err(reason)),
        };
        let foreign = foreign_crds()?;
        if let Some(missing) = FOREIGN_CRDS.iter().find(|name| !foreign.join(name).exists()) {
            return Ok(Err(format!("no {missing} in {}: `cargo xtask k8s` fetches it", foreign.display())));
        }
        let mut installation = Self { cluster, controller: None, webhook: 0, monitoring: setup.monitoring };
        for name in FOREIGN_CRDS.iter().filter(|name| !setup.without_crds.contains(name)) {
            installation.install_crds(&foreign.join(name))?;
        }
        installation.install_crds(&root().join("charts/llmd-crds/files/full"))?;
        // Asked again, because kubectl fails at a CRD that has no condition at all yet.
        let wait = ["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"];
        installation.eventually("the CRDs are served", || installation.cluster.kubectl(&wait).map(Some))?;
        installation.cluster.kubectl(&["create", "namespace", SYSTEM_NAMESPACE])?;
        installation.grant_rights()?;
        installation.start_controller()?;
        if !setup.without_presets {
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
        self.controller = Some(self.start_process(CONTROLLERS[0], false)?);
        Ok(())
    }

    /// Starts one of [`CONTROLLERS`] as a candidate for the lease, and has the API server use its webhooks.
    ///
    /// # Errors
    /// As [`Self::start_controller`].
    pub fn start_candidate(&mut self, user: &str) -> Result<Controller> {
        self.start_process(user, true)
    }

    fn start_process(&mut self, user: &str, elect: bool) -> Result<Controller> {
        self.webhook = free_port()?;
        self.register_webhooks()?;
        let mut controller = self.run_process(user, elect)?;
        controller.ready()?;
        self.eventually("the API server uses the webhooks", || self.webhooks_work().map(Some))?;
        Ok(controller)
    }

    /// The process as `user`, with its webhooks where they are registered.
    fn run_process(&self, user: &str, elect: bool) -> Result<Controller> {
        Controller::start(&self.cluster, user, self.webhook, elect, self.monitoring)
    }

    /// Starts the controller again where it was before, also when it cannot become ready.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn restart_controller(&mut self) -> Result<()> {
        self.kill_controller()?;
        self.controller = Some(self.run_process(CONTROLLERS[0], false)?);
        Ok(())
    }

    /// Ends the controller as a crash would.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub fn kill_controller(&mut self) -> Result<()> {
        self.controller.take().context("no controller runs")?.kill()
    }

    /// The running controller.
    ///
    /// # Errors
    /// When none runs.
    pub fn controller(&self) -> Result<&Controller> {
        self.controller.as_ref().context("no controller runs")
    }

    /// Process id of the controller.
    #[must_use]
    pub fn controller_pid(&self) -> Option<u32> {
        self.controller.as_ref().map(Controller::pid)
    }

    /// The controller's `/metrics`.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn metrics(&self) -> Result<String> {
        self.controller()?.metrics()
    }

    /// Where the controller logs.
    #[must_use]
    pub fn controller_log(&self) -> PathBuf {
        self.cluster.dir().join(format!("{}.log", CONTROLLERS[0]))
    }

    /// Gives the controllers the rights that the chart gives them, and no other.
    fn grant_rights(&self) -> Result<()> {
        let rights = rights().display().to_string();
        self.cluster.kubectl(&["-n", SYSTEM_NAMESPACE, "apply", "--server-side", "-f", &rights])?;
        let (name, group) = ("llmd-controller", format!("--group={CONTROLLER_GROUP}"));
        let in_cluster = ["create", "clusterrolebinding", name, "--clusterrole=llmd-controller", &group];
        self.cluster.kubectl(&in_cluster)?;
        let in_namespace =
            ["-n", SYSTEM_NAMESPACE, "create", "rolebinding", name, "--role=llmd-controller", &group];
        self.cluster.kubectl(&in_namespace).map(drop)
    }

    /// Polls until `found` answers with something; `what` is for the message when it does not.
    ///
    /// # Errors
    /// When it does not in time, with the end of the controller's log.
    pub fn eventually<T>(&self, what: &str, found: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        outcome::eventually(OUTCOME_DEADLINE, what, found)
            .map_err(|error| anyhow!("{error:#}\n{}", tail(&self.controller_log())))
    }
}

impl Drop for Installation {
    #[expect(clippy::print_stdout, reason = "a story reports what it saw")]
    fn drop(&mut self) {
        self.controller = None;
        if std::thread::panicking() {
            return;
        }
        let refusals = self.cluster.refusals().expect("the audit log can be read");
        assert!(refusals.is_empty(), "the controller lacks rights: {refusals:#?}");
        let manifest = std::fs::read_to_string(rights()).expect("the rights can be read");
        let unused = self.cluster.unused_rights(&manifest).expect("the rights are a manifest");
        println!("rights that nothing here has used: {}", unused.into_iter().collect::<Vec<_>>().join(", "));
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

/// The rights that the chart gives the controller.
fn rights() -> PathBuf {
    root().join("charts/llmd-controller/files/rights.yaml")
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let log = std::fs::read_to_string(log).unwrap_or_default();
    let tail: Vec<&str> = log.lines().rev().take(12).collect();
    tail.into_iter().rev().collect::<Vec<_>>().join("\n")
}
