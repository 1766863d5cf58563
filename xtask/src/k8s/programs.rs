//! The programs of each level.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::archive::Archive;
use super::go::{self, Module};
use super::{Level, Place};
use crate::command::say_error;

/// Where a program comes from.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// The Kubernetes module pinned in `e2e/k8s/go.mod`.
    Kubernetes,
    /// A package of another module, with build tags.
    Package(Module, &'static str, &'static str),
    /// A folder of `e2e/k8s`.
    Own,
}

const KWOK: Module = Module { path: "sigs.k8s.io/kwok", version: "v0.8.0" };
const ETCD: Module = Module { path: "go.etcd.io/etcd/server/v3", version: "v3.7.3" };
const HELM: Module = Module { path: "helm.sh/helm/v4", version: "v4.3.1" };
const CONTAINERD: Module = Module { path: "github.com/containerd/containerd/v2", version: "v2.4.2" };
const CNI: Module = Module { path: "github.com/containernetworking/plugins", version: "v1.9.1" };
const COREDNS: Module = Module { path: "github.com/coredns/coredns", version: "v1.15.0" };

/// Snapshotters that the node does not use.
const NO_SNAPSHOTTERS: &str = "no_btrfs,no_devmapper,no_zfs";

/// Level, name below the folder of programs, origin. What is used first is built first.
const PROGRAMS: [(Level, &str, Source); 19] = [
    (Level::ControlPlane, "kube-apiserver", Source::Kubernetes),
    (Level::ControlPlane, "kubectl", Source::Kubernetes),
    (Level::ControlPlane, "etcd", Source::Package(ETCD, "", "")),
    (Level::ControlPlane, "helm", Source::Package(HELM, "/cmd/helm", "")),
    (Level::Kwok, "kube-controller-manager", Source::Kubernetes),
    (Level::Kwok, "kube-scheduler", Source::Kubernetes),
    (Level::Kwok, "kwok", Source::Package(KWOK, "/cmd/kwok", "")),
    (Level::Node, "kubelet", Source::Kubernetes),
    (Level::Node, "kube-proxy", Source::Kubernetes),
    (Level::Node, "containerd", Source::Package(CONTAINERD, "/cmd/containerd", NO_SNAPSHOTTERS)),
    (
        Level::Node,
        "containerd-shim-runc-v2",
        Source::Package(CONTAINERD, "/cmd/containerd-shim-runc-v2", NO_SNAPSHOTTERS),
    ),
    (Level::Node, "ctr", Source::Package(CONTAINERD, "/cmd/ctr", NO_SNAPSHOTTERS)),
    (Level::Node, "cni/bridge", Source::Package(CNI, "/plugins/main/bridge", "")),
    (Level::Node, "cni/loopback", Source::Package(CNI, "/plugins/main/loopback", "")),
    (Level::Node, "cni/host-local", Source::Package(CNI, "/plugins/ipam/host-local", "")),
    (Level::Node, "cni/portmap", Source::Package(CNI, "/plugins/meta/portmap", "")),
    (Level::Node, "coredns", Source::Package(COREDNS, "", "")),
    (Level::Node, "pause", Source::Own),
    (Level::Node, "hello", Source::Own),
];

/// The image of `tests.image` in the charts.
const CURL: &str = "docker.io/curlimages/curl:8.16.0";

/// What kwok's nodes and pods do: become ready at once, keep their lease, complete, go.
const STAGES: [&str; 5] = [
    "node/fast/node-initialize",
    "node/heartbeat-with-lease/node-heartbeat-with-lease",
    "pod/fast/pod-ready",
    "pod/fast/pod-complete",
    "pod/fast/pod-delete",
];

/// Builds what is missing of `level`.
pub(super) fn build(place: &Place, level: Level) -> Result<()> {
    let bin = place.bin();
    let wanted = PROGRAMS.iter().filter(|(needed_by, ..)| *needed_by <= level);
    for (_, name, source) in wanted.filter(|(_, name, _)| !bin.join(name).exists()) {
        build_one(name, &bin.join(name), *source, &place.build())?;
    }
    if level >= Level::Kwok && !bin.join("kwok.yaml").exists() {
        fs::write(bin.join("kwok.yaml"), stages()?)?;
    }
    if level >= Level::Node { pack(place) } else { Ok(()) }
}

/// Builds one program of a module of its own, for what is added to the levels.
pub(super) fn build_package(place: &Place, name: &str, module: Module, package: &'static str) -> Result<()> {
    let program = place.bin().join(name);
    if program.exists() {
        return Ok(());
    }
    build_one(name, &program, Source::Package(module, package, ""), &place.build())
}

fn build_one(name: &str, program: &Path, source: Source, build: &Path) -> Result<()> {
    ensure!(go::is_there(), "Go is not on PATH");
    say_error(&format!("building {name} of Kubernetes for the tests: up to some minutes, once"));
    let start = Instant::now();
    match source {
        Source::Kubernetes => go::build_kubernetes(name, program),
        Source::Package(module, package, tags) => module.build(package, tags, program, build),
        Source::Own => go::build_own(name, program),
    }
    .with_context(|| format!("cannot build {name}"))?;
    say_error(&format!("built {name} in {} s", start.elapsed().as_secs()));
    Ok(())
}

/// Images of what runs in pods on every real node, and of the small server that the stories look at.
fn pack(place: &Place) -> Result<()> {
    let (bin, images) = (place.bin(), place.images());
    let archive =
        |name: &str| Archive::new(&format!("localhost/{name}:1"), &bin.join(name), &format!("/{name}"));
    archive("pause").write_new(&images.join("pause.tar"))?;
    // DNS listens on port 53.
    archive("coredns").user("0").write_new(&images.join("coredns.tar"))?;
    archive("hello").write_new(&images.join("hello.tar"))?;
    pack_curl(&images.join("curl.tar"))
}

/// The image that the pods of `helm test` ask with, under its own name: curl and what a line of shell needs, as this
/// machine has them. Without curl here there is no such image.
fn pack_curl(path: &Path) -> Result<()> {
    let programs = ["curl", "sh", "cat", "grep"].map(|it| (format!("/usr/bin/{it}"), on_path(it)));
    let [(path_of_curl, Some(curl)), rest @ ..] = programs else { return Ok(()) };
    let mut archive = Archive::new(CURL, &curl, &path_of_curl);
    for (path, program) in rest {
        let program = program.with_context(|| format!("no {path} on this machine"))?;
        archive = archive.file(&path, &program);
    }
    archive.libraries()?.write_new(path)
}

/// The program that a shell would run.
fn on_path(program: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).map(|it| it.join(program)).find(|it| it.is_file())
}

/// kwok's own stage files, one document after another.
fn stages() -> Result<String> {
    let folder = KWOK.folder()?.join("kustomize/stage");
    let stage = |name: &str| {
        let path = folder.join(format!("{name}.yaml"));
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    STAGES.iter().map(|name| Ok(format!("{}---\n", stage(name)?))).collect()
}
