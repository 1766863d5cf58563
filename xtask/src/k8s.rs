//! A real Kubernetes for the tests, built from Go modules: etcd, kube-apiserver, kube-controller-manager,
//! kube-scheduler, kubectl, and kwok for fake nodes. No container registry and no root are needed.
//!
//! The programs lie in `target/k8s/bin`; what is there is not built again. A folder in `KUBEBUILDER_ASSETS`
//! takes their place.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::command::say_error;
use crate::workspace::{metadata, root};

/// Version of Kubernetes, as in `e2e/k8s/go.mod`; stamped into the programs because clients compare it.
const KUBERNETES: (&str, &str) = ("v1.36.3", "36");
/// Programs of the Kubernetes module.
const KUBERNETES_PROGRAMS: [&str; 4] =
    ["kube-apiserver", "kubectl", "kube-controller-manager", "kube-scheduler"];
/// Program, module, version, package inside the module.
const OTHERS: [(&str, &str, &str, &str); 2] = [
    ("etcd", "go.etcd.io/etcd/server/v3", "v3.7.3", ""),
    ("kwok", "sigs.k8s.io/kwok", "v0.8.0", "/cmd/kwok"),
];
/// What kwok's nodes and pods do: become ready at once, keep their lease, complete, go.
const STAGES: [&str; 5] = [
    "node/fast/node-initialize",
    "node/heartbeat-with-lease/node-heartbeat-with-lease",
    "pod/fast/pod-ready",
    "pod/fast/pod-complete",
    "pod/fast/pod-delete",
];

/// Module, version, folder inside the module and the CRDs there that the controller works with.
const CRDS: [(&str, &str, &str, &[&str]); 5] = [
    (
        "sigs.k8s.io/gateway-api",
        "v1.5.1",
        "config/crd/standard",
        &[
            "gateway.networking.k8s.io_gatewayclasses.yaml",
            "gateway.networking.k8s.io_gateways.yaml",
            "gateway.networking.k8s.io_httproutes.yaml",
        ],
    ),
    (
        "sigs.k8s.io/gateway-api-inference-extension",
        "v1.5.0",
        "config/crd/bases",
        &["inference.networking.k8s.io_inferencepools.yaml"],
    ),
    ("sigs.k8s.io/lws", "v0.8.0", "config/crd/bases", &["leaderworkerset.x-k8s.io_leaderworkersets.yaml"]),
    ("github.com/kedacore/keda/v2", "v2.18.0", "config/crd/bases", &["keda.sh_scaledobjects.yaml"]),
    (
        "github.com/prometheus-operator/prometheus-operator",
        "v0.85.0",
        "example/prometheus-operator-crd",
        &["monitoring.coreos.com_podmonitors.yaml", "monitoring.coreos.com_servicemonitors.yaml"],
    ),
];

/// Folder of the programs, built if need be. The CRDs of other projects lie beside it in `crds`.
///
/// # Errors
/// When there is no Go, or a build fails.
pub(crate) fn ensure_built() -> Result<PathBuf> {
    let target = metadata()?.target_directory.into_std_path_buf();
    fetch_crds(&target.join("k8s/crds"))?;
    if let Some(assets) = std::env::var_os("KUBEBUILDER_ASSETS") {
        return Ok(PathBuf::from(assets));
    }
    let bin = target.join("k8s/bin");
    fs::create_dir_all(&bin).with_context(|| format!("cannot make {}", bin.display()))?;
    let missing = |name: &&str| !bin.join(name).exists();
    if KUBERNETES_PROGRAMS.iter().chain(&["etcd", "kwok", "kwok.yaml"]).any(&missing) {
        ensure!(has_go(), "Go is not on PATH");
        say_error("building Kubernetes for the tests: some ten minutes, once");
    }
    for name in KUBERNETES_PROGRAMS.iter().filter(|name| missing(name)) {
        build_kubernetes(name, &bin)?;
    }
    for (name, module, version, package) in OTHERS.iter().filter(|(name, ..)| missing(name)) {
        build_other(&target.join("k8s/build").join(name), &bin.join(name), module, version, package)?;
    }
    if missing(&"kwok.yaml") {
        fs::write(bin.join("kwok.yaml"), stages()?)?;
    }
    Ok(bin)
}

/// Go without C and without version control stamps, in `folder`.
fn go(folder: &Path) -> Command {
    let mut command = Command::new("go");
    command
        .current_dir(folder)
        .env("CGO_ENABLED", "0")
        .env("GOFLAGS", "-buildvcs=false")
        .stdin(Stdio::null());
    command
}

fn build_kubernetes(name: &str, bin: &Path) -> Result<()> {
    let (version, minor) = KUBERNETES;
    let stamp = "-X k8s.io/component-base/version.git";
    let flags = format!("-ldflags=-s -w {stamp}Version={version} {stamp}Major=1 {stamp}Minor={minor}");
    let package = format!("k8s.io/kubernetes/cmd/{name}");
    let mut build = go(&root().join("e2e/k8s"));
    done(build.args(["build", "-mod=readonly", "-trimpath", &flags, "-o"]).arg(bin.join(name)).arg(package))
}

/// Builds in a module of its own: `go install module@version` refuses modules with replace directives.
fn build_other(folder: &Path, program: &Path, module: &str, version: &str, package: &str) -> Result<()> {
    fs::create_dir_all(folder)?;
    if !folder.join("go.mod").exists() {
        done(go(folder).args(["mod", "init", "llmd/build"]))?;
    }
    done(go(folder).args(["get", &format!("{module}@{version}")]))?;
    let mut build = go(folder);
    build.args(["build", "-mod=mod", "-trimpath", "-ldflags=-s -w", "-o"]);
    done(build.arg(program).arg(format!("{module}{package}")))
}

/// kwok's own stage files, one document after another.
fn stages() -> Result<String> {
    let (_, module, version, _) = OTHERS[1];
    let folder = module_folder(module, version)?.join("kustomize/stage");
    let stage = |name: &str| {
        let path = folder.join(format!("{name}.yaml"));
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    STAGES.iter().map(|name| Ok(format!("{}---\n", stage(name)?))).collect()
}

fn fetch_crds(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    for (module, version, path, files) in CRDS {
        for file in files.iter().filter(|file| !folder.join(file).exists()) {
            ensure!(has_go(), "Go is not on PATH");
            let from = module_folder(module, version)?.join(path).join(file);
            let text = fs::read(&from).with_context(|| format!("cannot read {}", from.display()))?;
            fs::write(folder.join(file), text)?;
        }
    }
    Ok(())
}

/// Where Go keeps the sources of a module; downloads them if need be.
fn module_folder(module: &str, version: &str) -> Result<PathBuf> {
    let folder = std::env::temp_dir();
    done(go(&folder).args(["mod", "download", &format!("{module}@{version}")]))?;
    let cache =
        go(&folder).args(["env", "GOMODCACHE"]).output().context("cannot ask Go for its module cache")?;
    Ok(PathBuf::from(String::from_utf8(cache.stdout)?.trim()).join(format!("{module}@{version}")))
}

fn has_go() -> bool {
    go(root()).arg("version").stdout(Stdio::null()).status().is_ok()
}

/// Runs Go; its output is shown only when it fails.
fn done(command: &mut Command) -> Result<()> {
    let output = command.output().context("cannot run go")?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let tail: Vec<&str> = errors.lines().rev().take(10).collect();
    bail!(
        "{} failed:\n{}",
        crate::command::shown(command),
        tail.into_iter().rev().collect::<Vec<_>>().join("\n")
    )
}
