//! A cluster that is there already. Its images come from a registry, and it stays as it is but for the stories' own
//! namespaces and what they install.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::Provider;
use crate::args::kubernetes_programs;
use crate::kubectl::Kubectl;
use crate::skip::skip;

#[derive(Debug)]
pub(super) struct Kubeconfig {
    kubectl: Kubectl,
    _cache: TempDir,
}

impl Kubeconfig {
    pub(super) fn open(path: &Path) -> Result<Self> {
        ensure!(path.is_file(), "--kubeconfig: there is no file {}", path.display());
        let cache = TempDir::new()?;
        let kubectl = Kubectl::new(&kubernetes_programs()?, path, cache.path());
        let ready = kubectl.run(&["get", "--raw", "/readyz", "--request-timeout=20s"]);
        ready.with_context(|| format!("--kubeconfig: the cluster of {} does not answer", path.display()))?;
        Ok(Self { kubectl, _cache: cache })
    }
}

impl Provider for Kubeconfig {
    fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    fn load(&self, archive: &Path) -> Result<()> {
        let name = archive.file_name().unwrap_or_default().display();
        skip(format!(
            "{name} cannot be loaded into a cluster that is there already: it takes images of registries"
        ))
    }

    fn takes_archives(&self) -> bool {
        false
    }

    fn has_routes(&self) -> bool {
        false
    }

    fn logs(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    fn keep(self: Box<Self>) {}
}
