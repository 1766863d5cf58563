//! The Helm charts: what they render, whether a real API server takes it, and what releases do to a cluster.
//!
//! A file `charts/values/CHART--CASE.yaml` is one case of a chart. Cases named `peer-…` are values as the charts that
//! ours stand in for have them.

mod acceptance;
mod envoy;
mod helm;
mod releases;
mod rendering;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use llmd_e2e::cluster::Cluster;
use serde_json::Value;

use helm::Helm;

/// The charts, each before those that need it.
const CHARTS: [&str; 6] =
    ["llmd-crds", "llmd-controller", "llmd-router", "llmd-modelservice", "llmd-observability", "llmd"];
/// Name of the release in cases.
const RELEASE: &str = "my-release";
/// Namespace of the release in cases.
const NAMESPACE: &str = "models";

/// A busy machine needs its time to serve large types.
const CRDS_DEADLINE: Duration = Duration::from_secs(120);

/// Values of one chart.
struct Case {
    chart: String,
    name: String,
    values: PathBuf,
}

impl Case {
    /// Reads the case that a file of values stands for.
    fn of(values: &Path) -> Result<Self> {
        let stem = values.file_stem().and_then(|it| it.to_str()).context("a file has a name")?;
        let (chart, name) = stem.split_once("--").with_context(|| format!("{stem} is not CHART--CASE"))?;
        Ok(Self { chart: chart.to_owned(), name: name.to_owned(), values: values.to_path_buf() })
    }

    /// Every case, by name.
    fn all() -> Result<Vec<Self>> {
        let folder = root().join("e2e/tests/it/charts/values");
        let mut files =
            std::fs::read_dir(&folder)?.map(|it| Ok(it?.path())).collect::<Result<Vec<PathBuf>>>()?;
        files.sort();
        files.iter().map(|it| Self::of(it)).collect()
    }

    /// Whether the pods come from somebody else's values and images.
    fn is_peer(&self) -> bool {
        self.name.starts_with("peer-")
    }

    /// What the chart makes of the values.
    fn objects(&self, helm: &Helm) -> Result<Vec<Value>> {
        let values = self.values.display().to_string();
        helm.template(&self.chart, &["--values", &values])
    }
}

/// Root of the workspace.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace")
}

/// The kind of an object.
fn kind(object: &Value) -> &str {
    object["kind"].as_str().unwrap_or_default()
}

/// The name of an object.
fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// `None`, with a word on why, where this machine has no Helm.
fn helm_or_skip() -> Result<Option<Helm>> {
    let helm = Helm::find()?;
    if helm.is_none() {
        println!("skipped: no helm beside kube-apiserver: `cargo xtask k8s` builds it");
    }
    Ok(helm)
}

/// Waits until every CRD is served. Asked again, because kubectl fails at a CRD that has no condition at all yet.
fn crds_are_served(cluster: &Cluster) -> Result<()> {
    let start = Instant::now();
    let wait = ["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"];
    while let Err(error) = cluster.kubectl(&wait) {
        if start.elapsed() > CRDS_DEADLINE {
            return Err(error);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
