//! A throw-away Kubernetes of one test run: etcd and kube-apiserver, and where the programs are there the
//! controller manager, the scheduler and a node: a fake one that runs every pod in name only, or a real one.
//!
//! Everything listens on loopback (with a real node: on its link to this machine) and lives in a temporary folder.
//! Dropping the cluster ends its processes.

use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

pub mod audit;
mod credentials;
mod kubectl;
mod machine;
mod network;
mod node;
pub mod rights;

pub use audit::Write;
pub use node::{crash, load};

use crate::args::{kubernetes_programs, path_beginning_with};
use crate::kubectl::Kubectl;
use credentials::Credentials;
use machine::Machine;

/// User names of the controllers under test; most stories have one.
pub const CONTROLLERS: [&str; 2] = ["llmd-controller", "llmd-controller-standby"];
/// The group of both.
pub const CONTROLLER_GROUP: &str = "llmd";

/// A control plane comes up in four seconds; a busy machine takes longer.
const READY_DEADLINE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(100);

/// How much of a cluster runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// etcd and kube-apiserver: objects are stored, validated and watched; nothing acts on them.
    ControlPlane,
    /// Deployments make pods, pods become ready at once on a fake node with 8 GPUs, owners are collected.
    FakeNode,
    /// Pods run, with addresses, Services, DNS and volumes. Needs root; one at a time on a machine.
    Node,
}

impl Level {
    /// The programs that it needs.
    fn programs(self) -> Vec<&'static str> {
        let mut programs = vec!["etcd", "kube-apiserver", "kubectl"];
        if self != Self::ControlPlane {
            programs.extend(["kube-controller-manager", "kube-scheduler"]);
        }
        match self {
            Self::ControlPlane => {}
            Self::FakeNode => programs.push("kwok"),
            Self::Node => programs.extend(node::PROGRAMS),
        }
        programs
    }

    /// The level of `cargo xtask k8s` that builds them.
    const fn build(self) -> &'static str {
        match self {
            Self::ControlPlane => "control-plane",
            Self::FakeNode => "kwok",
            Self::Node => "node",
        }
    }

    /// Where the API server listens: where its clients are.
    const fn address(self) -> Ipv4Addr {
        match self {
            Self::ControlPlane | Self::FakeNode => Ipv4Addr::LOCALHOST,
            Self::Node => network::HOST,
        }
    }
}

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    dir: TempDir,
    bin: PathBuf,
    level: Level,
    port: u16,
    credentials: Credentials,
    /// Started last, ended first.
    processes: Vec<(&'static str, Child)>,
    /// Held by a cluster with a real node.
    machine: Option<Machine>,
    is_kept: bool,
}

/// A running cluster with a real node that an earlier run left on purpose.
#[derive(Debug)]
pub struct Kept {
    /// Its administrator's kubectl.
    pub kubectl: Kubectl,
    _machine: Machine,
}

impl Cluster {
    /// Starts a cluster, or says why this machine cannot have one (`Ok(Err(reason))`).
    ///
    /// # Errors
    /// When a process of it ends or is not ready in time.
    pub fn start(level: Level) -> Result<Result<Self, String>> {
        if let Some(reason) = Self::reason_against(level) {
            return Ok(Err(reason));
        }
        let bin = kubernetes_programs()?;
        if let Some(missing) = level.programs().iter().find(|name| !bin.join(name).exists()) {
            let build = level.build();
            return Ok(Err(format!(
                "no {missing} in {}: `cargo xtask k8s --level {build}` builds it",
                bin.display()
            )));
        }
        let machine = match level {
            Level::ControlPlane | Level::FakeNode => None,
            Level::Node => match Machine::claim()? {
                Ok(machine) => Some(machine),
                Err(reason) => return Ok(Err(reason)),
            },
        };
        let dir = machine.as_ref().map_or_else(TempDir::new, Machine::folder)?;
        let port = free_port()?;
        let credentials = Credentials::make(dir.path(), &server(level, port))?;
        audit::write_policy(dir.path())?;
        let processes = Vec::new();
        let mut cluster = Self { dir, bin, level, port, credentials, processes, machine, is_kept: false };
        if level == Level::Node {
            network::make()?;
        }
        cluster.start_etcd().and_then(|peer| cluster.start_api_server(peer))?;
        cluster.wait_until("kube-apiserver is ready", &["get", "--raw", "/readyz"])?;
        if level != Level::ControlPlane {
            cluster.start_controllers()?;
        }
        match level {
            Level::ControlPlane => {}
            Level::FakeNode => cluster.start_fake_node()?,
            Level::Node => cluster.start_real_node()?,
        }
        Ok(Ok(cluster))
    }

    /// Why this machine could not have a cluster of this level, were all of its programs there.
    #[must_use]
    pub fn reason_against(level: Level) -> Option<String> {
        if level == Level::Node { machine::reason_against() } else { None }
    }

    /// The cluster with a real node that an earlier run kept on this machine, if its API server is ready and no
    /// other run has it.
    ///
    /// # Errors
    /// When the folder of programs is unknown.
    pub fn kept() -> Result<Option<Kept>> {
        let Some(folder) = machine::existing_folder() else { return Ok(None) };
        let Ok(machine) = Machine::lock()? else { return Ok(None) };
        let kubectl = Kubectl::new(&kubernetes_programs()?, &folder.join("admin.conf"), &folder);
        let is_ready = kubectl.run(&["get", "--raw", "/readyz", "--request-timeout=5s"]).is_ok();
        Ok(is_ready.then_some(Kept { kubectl, _machine: machine }))
    }

    /// Removes whatever a cluster with a real node left on this machine, running or not.
    ///
    /// # Errors
    /// When something stays.
    pub fn clear() -> Result<()> {
        machine::clear()
    }

    /// Lets a cluster with a real node outlive this value and this process; [`Self::clear`] removes it.
    pub fn keep(mut self) {
        self.is_kept = true;
        self.dir.disable_cleanup(true);
    }

    /// Kubeconfig of the cluster's administrator.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.path().join("admin.conf")
    }

    /// Kubeconfig of one of [`CONTROLLERS`].
    #[must_use]
    pub fn kubeconfig_of(&self, controller: &str) -> PathBuf {
        self.dir.path().join(format!("{controller}.conf"))
    }

    /// `https://ADDRESS:PORT` of the API server.
    #[must_use]
    pub fn server(&self) -> String {
        server(self.level, self.port)
    }

    /// A folder that goes with the cluster.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Ends the API server at once, as a crash would; [`Self::revive_api_server`] brings it back with its data.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub fn kill_api_server(&mut self) -> Result<()> {
        let at = self
            .processes
            .iter()
            .position(|(name, _)| *name == "kube-apiserver")
            .context("no API server runs")?;
        let (_, mut process) = self.processes.remove(at);
        process.kill()?;
        process.wait()?;
        Ok(())
    }

    /// Starts the API server again on its port and data.
    ///
    /// # Errors
    /// When it is not ready in time.
    pub fn revive_api_server(&mut self) -> Result<()> {
        let etcd = std::fs::read_to_string(self.dir.path().join("etcd.port"))?.parse()?;
        self.start_api_server(etcd)?;
        self.wait_until("kube-apiserver is ready", &["get", "--raw", "/readyz"])
    }

    /// Process id of a program of the cluster.
    #[must_use]
    pub fn pid(&self, name: &str) -> Option<u32> {
        self.processes.iter().find(|(it, _)| *it == name).map(|(_, process)| process.id())
    }

    fn start_etcd(&mut self) -> Result<u16> {
        let (client, peer) = (free_port()?, free_port()?);
        let (client_url, peer_url) =
            (format!("https://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
        let cluster = format!("k8s={peer_url}");
        let data = self.dir.path().join("etcd");
        std::fs::write(self.dir.path().join("etcd.port"), client.to_string())?;
        let files = self.credentials.files("etcd");
        let mut arguments =
            vec!["--name=k8s".to_owned(), "--unsafe-no-fsync".to_owned(), "--log-level=warn".to_owned()];
        arguments.push(format!("--data-dir={}", data.display()));
        for (flag, url) in [
            ("listen-client-urls", &client_url),
            ("advertise-client-urls", &client_url),
            ("listen-peer-urls", &peer_url),
            ("initial-advertise-peer-urls", &peer_url),
            ("initial-cluster", &cluster),
        ] {
            arguments.push(format!("--{flag}={url}"));
        }
        arguments.push("--client-cert-auth".to_owned());
        arguments.push(format!("--trusted-ca-file={}", self.credentials.ca().display()));
        arguments.push(format!("--cert-file={}", files.certificate.display()));
        arguments.push(format!("--key-file={}", files.key.display()));
        self.spawn("etcd", &arguments)?;
        Ok(client)
    }

    fn start_api_server(&mut self, etcd: u16) -> Result<()> {
        let (server, client) = (self.credentials.files("apiserver"), self.credentials.files("etcd"));
        let (ca, accounts) = (self.credentials.ca(), self.credentials.service_accounts());
        let path = |it: &Path| it.display().to_string();
        // Loopback cannot be an endpoint of the `kubernetes` Service.
        let reconciler = if self.level == Level::Node { "lease" } else { "none" };
        let (kubelet, proxy) = (self.credentials.files("admin"), self.credentials.files("front-proxy"));
        let arguments: Vec<String> = [
            ("bind-address", self.level.address().to_string()),
            ("advertise-address", network::HOST.to_string()),
            ("endpoint-reconciler-type", reconciler.to_owned()),
            ("secure-port", self.port.to_string()),
            ("service-cluster-ip-range", network::SERVICES.to_owned()),
            ("enable-aggregator-routing", "true".to_owned()),
            ("proxy-client-cert-file", path(&proxy.certificate)),
            ("proxy-client-key-file", path(&proxy.key)),
            ("requestheader-client-ca-file", path(&ca)),
            ("requestheader-allowed-names", "front-proxy".to_owned()),
            ("requestheader-username-headers", "X-Remote-User".to_owned()),
            ("requestheader-group-headers", "X-Remote-Group".to_owned()),
            ("requestheader-extra-headers-prefix", "X-Remote-Extra-".to_owned()),
            ("enable-admission-plugins", "NodeRestriction".to_owned()),
            ("kubelet-client-certificate", path(&kubelet.certificate)),
            ("kubelet-client-key", path(&kubelet.key)),
            ("kubelet-preferred-address-types", "InternalIP".to_owned()),
            ("etcd-servers", format!("https://127.0.0.1:{etcd}")),
            ("etcd-cafile", path(&ca)),
            ("etcd-certfile", path(&client.certificate)),
            ("etcd-keyfile", path(&client.key)),
            ("tls-cert-file", path(&server.certificate)),
            ("tls-private-key-file", path(&server.key)),
            ("client-ca-file", path(&ca)),
            ("authorization-mode", "Node,RBAC".to_owned()),
            ("anonymous-auth", "false".to_owned()),
            ("service-account-issuer", "https://kubernetes.default.svc.cluster.local".to_owned()),
            ("service-account-signing-key-file", path(&accounts.key)),
            ("service-account-key-file", path(&accounts.certificate)),
            ("allow-privileged", "true".to_owned()),
            ("profiling", "false".to_owned()),
            ("audit-policy-file", path(&audit::policy(self.dir.path()))),
            ("audit-log-path", path(&audit::log(self.dir.path()))),
            // One file to the end, whatever its size: what is moved to another is not read.
            ("audit-log-maxsize", "0".to_owned()),
            // Events of a thousand services must not slow the tests down.
            ("event-ttl", "5m".to_owned()),
        ]
        .into_iter()
        .map(|(flag, value)| format!("--{flag}={value}"))
        .collect();
        self.spawn("kube-apiserver", &arguments)
    }

    fn start_controllers(&mut self) -> Result<()> {
        let (ca, accounts) = (self.credentials.ca(), self.credentials.service_accounts());
        let (key, signing) = (accounts.key.display(), self.credentials.files("ca"));
        let arguments = [
            format!("--kubeconfig={}", self.config("controller-manager")),
            format!("--secure-port={}", free_port()?),
            format!("--root-ca-file={}", ca.display()),
            format!("--service-account-private-key-file={key}"),
            format!("--cluster-signing-cert-file={}", ca.display()),
            format!("--cluster-signing-key-file={}", signing.key.display()),
            "--bind-address=127.0.0.1".to_owned(),
            "--leader-elect=false".to_owned(),
            "--use-service-account-credentials".to_owned(),
            "--allocate-node-cidrs=false".to_owned(),
            // A node is not lost, and its pods out of every Service, because a machine is busy or its API server away.
            "--node-monitor-grace-period=10m".to_owned(),
            // Autoscalers look often, and believe a pod that is younger than five minutes.
            "--horizontal-pod-autoscaler-sync-period=3s".to_owned(),
            "--horizontal-pod-autoscaler-cpu-initialization-period=5s".to_owned(),
            "--horizontal-pod-autoscaler-initial-readiness-delay=5s".to_owned(),
        ];
        self.spawn("kube-controller-manager", &arguments)?;
        let arguments = [
            format!("--kubeconfig={}", self.config("scheduler")),
            format!("--secure-port={}", free_port()?),
            "--bind-address=127.0.0.1".to_owned(),
            "--leader-elect=false".to_owned(),
        ];
        self.spawn("kube-scheduler", &arguments)?;
        self.wait_until("the controllers run", &["-n", "default", "get", "serviceaccount", "default"])
    }

    fn start_fake_node(&mut self) -> Result<()> {
        let arguments = [
            format!("--kubeconfig={}", self.kubeconfig().display()),
            format!("--config={}", self.bin.join("kwok.yaml").display()),
            "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake".to_owned(),
            "--node-lease-duration-seconds=40".to_owned(),
            "--cidr=10.245.0.0/16".to_owned(),
        ];
        self.spawn("kwok", &arguments)?;
        self.apply(FAKE_NODE)?;
        self.wait_until(
            "the fake node is ready",
            &["wait", "--for=condition=Ready", "--timeout=1s", "node/fake-0"],
        )
    }

    fn config(&self, user: &str) -> String {
        self.dir.path().join(format!("{user}.conf")).display().to_string()
    }

    fn spawn(&mut self, name: &'static str, arguments: &[String]) -> Result<()> {
        let log = std::fs::File::options().append(true).create(true).open(self.log(name))?;
        let program = self.bin.join(name);
        let mut command = if node::is_inside(self.level, name) {
            network::inside(&program.display().to_string())
        } else {
            Command::new(&program)
        };
        if self.level == Level::Node {
            // The terminal's signals are for who holds the cluster, which takes more down than processes.
            command.process_group(0);
        }
        let process = command
            .args(arguments)
            .env("PATH", path_beginning_with(&self.bin)?)
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        self.processes.push((name, process));
        Ok(())
    }

    fn log(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("{name}.log"))
    }

    /// Waits for a kubectl command to succeed.
    fn wait_until(&mut self, what: &str, arguments: &[&str]) -> Result<()> {
        let kubectl = self.client();
        self.wait_for(what, || kubectl.run(arguments).map(drop))
    }

    /// Waits for something to succeed while all processes run.
    fn wait_for(&mut self, what: &str, mut attempt: impl FnMut() -> Result<()>) -> Result<()> {
        let start = Instant::now();
        loop {
            let Err(error) = attempt() else { return Ok(()) };
            let logs: Vec<_> = self.processes.iter().map(|(name, _)| (*name, self.log(name))).collect();
            for (name, process) in &mut self.processes {
                if let Some(status) = process.try_wait()? {
                    let log = logs.iter().find(|(it, _)| it == name).map(|(_, path)| path);
                    let log = log.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
                    let tail: Vec<&str> = log.lines().rev().take(5).collect();
                    bail!("{name} ended ({status}): {}", tail.join(" | "));
                }
            }
            if start.elapsed() > READY_DEADLINE {
                bail!("not after {READY_DEADLINE:?}: {what}: {error:#}");
            }
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        // Nothing here is worth a graceful end: the state goes with the folder.
        for (_, process) in self.processes.iter_mut().rev() {
            let _ = process.kill();
            let _ = process.wait();
        }
        if self.machine.is_some() {
            // What cannot be removed now is tried again by the next run.
            let _ = machine::clear();
        }
    }
}

/// A node in name only; kwok keeps it alive.
const FAKE_NODE: &str = r#"
apiVersion: v1
kind: Node
metadata:
  name: fake-0
  annotations: {kwok.x-k8s.io/node: fake}
  labels: {type: kwok, kubernetes.io/hostname: fake-0, kubernetes.io/os: linux, kubernetes.io/arch: amd64}
status:
  capacity: {cpu: "4000", memory: 64Ti, pods: "5000", ephemeral-storage: 64Ti, nvidia.com/gpu: "512"}
  allocatable: {cpu: "4000", memory: 64Ti, pods: "5000", ephemeral-storage: 64Ti, nvidia.com/gpu: "512"}
"#;

fn server(level: Level, port: u16) -> String {
    format!("https://{}:{port}", level.address())
}

/// A port that was free a moment ago.
///
/// # Errors
/// When no port is free.
pub fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
