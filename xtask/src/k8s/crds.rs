//! CustomResourceDefinitions of other projects that the controller works with, from their Go modules.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::go::{self, Module};

/// Module, folder inside it and the files there.
const CRDS: [(Module, &str, &[&str]); 5] = [
    (
        Module { path: "sigs.k8s.io/gateway-api", version: "v1.5.1" },
        "config/crd/standard",
        &[
            "gateway.networking.k8s.io_gatewayclasses.yaml",
            "gateway.networking.k8s.io_gateways.yaml",
            "gateway.networking.k8s.io_httproutes.yaml",
        ],
    ),
    (
        Module { path: "sigs.k8s.io/gateway-api-inference-extension", version: "v1.5.0" },
        "config/crd/bases",
        &["inference.networking.k8s.io_inferencepools.yaml"],
    ),
    (
        Module { path: "sigs.k8s.io/lws", version: "v0.8.0" },
        "config/crd/bases",
        &["leaderworkerset.x-k8s.io_leaderworkersets.yaml"],
    ),
    (
        Module { path: "github.com/kedacore/keda/v2", version: "v2.18.0" },
        "config/crd/bases",
        &["keda.sh_scaledobjects.yaml"],
    ),
    (
        Module { path: "github.com/prometheus-operator/prometheus-operator", version: "v0.85.0" },
        "example/prometheus-operator-crd",
        &["monitoring.coreos.com_podmonitors.yaml", "monitoring.coreos.com_servicemonitors.yaml"],
    ),
];

/// Copies what is not in `folder` yet.
pub(super) fn fetch(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    for (module, path, files) in CRDS {
        for file in files.iter().filter(|file| !folder.join(file).exists()) {
            ensure!(go::is_there(), "Go is not on PATH");
            let from = module.folder()?.join(path).join(file);
            let text = fs::read(&from).with_context(|| format!("cannot read {}", from.display()))?;
            fs::write(folder.join(file), text)?;
        }
    }
    Ok(())
}
