//! A real node: containerd, kubelet, kube-proxy and cluster DNS in a network namespace of their own. Pods run.
//!
//! Needs root. Nothing listens on outside interfaces, this machine's iptables are not touched, and pods have no way
//! out: a connection to the outside fails at once.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::machine::RUN;
use super::{Cluster, Level, network};
use crate::command::output;

mod settings;

/// Name of the node.
pub(super) const NAME: &str = "node-0";
/// The programs of a real node, below the folder of programs.
pub(super) const PROGRAMS: [&str; 11] = [
    "kubelet",
    "kube-proxy",
    "containerd",
    "containerd-shim-runc-v2",
    "ctr",
    "cni/bridge",
    "cni/loopback",
    "cni/host-local",
    "cni/portmap",
    "coredns",
    "pause",
];
/// Service account, rights, settings, Deployment and Service of cluster DNS.
const DNS: &str = include_str!("../../k8s/coredns.yaml");

/// Where containerd listens.
pub(super) fn socket() -> String {
    format!("{RUN}/containerd.sock")
}

/// Loads an image archive into the real node of this machine.
///
/// # Errors
/// When containerd refuses it.
pub fn load(bin: &Path, archive: &Path) -> Result<()> {
    let socket = socket();
    let arguments = ["--address", &socket, "--namespace", "k8s.io", "images", "import"];
    output(Command::new(bin.join("ctr")).args(arguments).arg(archive)).map(drop)
}

/// Ends the process of a container at once, as a crash would. `container` is its id without `containerd://`.
///
/// # Errors
/// When containerd does not know it.
pub fn crash(bin: &Path, container: &str) -> Result<()> {
    let socket = socket();
    let arguments =
        ["--address", &socket, "--namespace", "k8s.io", "tasks", "kill", "--signal", "SIGKILL", container];
    output(Command::new(bin.join("ctr")).args(arguments)).map(drop)
}

impl Cluster {
    pub(super) fn start_real_node(&mut self) -> Result<()> {
        self.start_containerd()?;
        self.start_kubelet()?;
        self.start_kube_proxy()?;
        let node = format!("node/{NAME}");
        let ready = ["wait", "--for=condition=Ready", "--timeout=1s", &node];
        self.wait_until("the node is ready", &ready)?;
        self.apply(DNS)?;
        let ready = ["-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=1s"];
        self.wait_until("cluster DNS is ready", &ready)
    }

    fn start_containerd(&mut self) -> Result<()> {
        let network = self.dir().join("cni");
        fs::create_dir_all(&network)?;
        fs::write(network.join("10-bridge.conflist"), settings::pod_network(self.dir()))?;
        let config = self.dir().join("containerd.toml");
        fs::write(&config, settings::containerd(self.dir(), &self.bin))?;
        self.spawn("containerd", &[format!("--config={}", config.display()), "--log-level=info".to_owned()])?;
        let mut asked = Command::new(self.bin.join("ctr"));
        asked.args(["--address", &socket(), "version"]);
        self.wait_for("containerd answers", || output(&mut asked).map(drop))?;
        let images = self.bin.with_file_name("images");
        load(&self.bin, &images.join("pause.tar"))?;
        load(&self.bin, &images.join("coredns.tar"))
    }

    fn start_kubelet(&mut self) -> Result<()> {
        // No name servers but the cluster's own.
        fs::write(self.dir().join("resolv.conf"), "")?;
        let config = self.dir().join("kubelet.yaml");
        fs::write(&config, settings::kubelet(self.dir(), &self.credentials.ca()))?;
        let arguments = [
            format!("--config={}", config.display()),
            format!("--kubeconfig={}", self.config("kubelet")),
            format!("--root-dir={}", self.dir().join("kubelet").display()),
            format!("--cert-dir={}", self.dir().join("kubelet-certificates").display()),
            format!("--hostname-override={NAME}"),
            format!("--node-ip={}", network::NODE),
            "--v=1".to_owned(),
        ];
        self.spawn("kubelet", &arguments)
    }

    fn start_kube_proxy(&mut self) -> Result<()> {
        let config = self.dir().join("kube-proxy.yaml");
        fs::write(&config, settings::kube_proxy(&self.config("kube-proxy")))?;
        self.spawn("kube-proxy", &[format!("--config={}", config.display())])
    }
}

/// Whether a program of the cluster runs in the node's network.
pub(super) fn is_inside(level: Level, name: &str) -> bool {
    level == Level::Node && ["containerd", "kubelet", "kube-proxy"].contains(&name)
}
