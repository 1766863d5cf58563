//! A real Kubernetes for the tests, built from Go modules. No container registry and no root are needed to build it.
//!
//! The programs lie in `target/k8s/bin`, image archives in `images` beside it, other projects' charts and CRDs in
//! `charts` and `crds`; what is there is not made again. A folder in `KUBEBUILDER_ASSETS` takes the place of the
//! programs of the lower levels.

mod additions;
mod archive;
mod crds;
mod go;
mod programs;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::workspace::metadata;
pub(crate) use additions::Addition;

/// How much of Kubernetes is built; each level holds the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Level {
    /// etcd, kube-apiserver, kubectl, helm
    ControlPlane,
    /// and the controllers, and kwok for a node in name only
    Kwok,
    /// and all that runs pods: containerd, kubelet, kube-proxy, DNS
    Node,
}

/// The folder of everything built here.
#[derive(Debug)]
struct Place(PathBuf);

impl Place {
    fn of_workspace() -> Result<Self> {
        let it = Self(metadata()?.target_directory.into_std_path_buf().join("k8s"));
        for folder in [it.bin().join("cni"), it.images(), it.build()] {
            fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        Ok(it)
    }

    fn bin(&self) -> PathBuf {
        self.0.join("bin")
    }

    fn images(&self) -> PathBuf {
        self.0.join("images")
    }

    fn build(&self) -> PathBuf {
        self.0.join("build")
    }

    fn root(&self) -> &Path {
        &self.0
    }
}

/// Folder of the programs that the tests of the workspace want, built if need be.
///
/// # Errors
/// When there is no Go, or a build fails.
pub(crate) fn ensure_built() -> Result<PathBuf> {
    let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
    match assets {
        Some(assets) => {
            crds::fetch(&Place::of_workspace()?.root().join("crds"))?;
            Ok(assets)
        }
        None => build(Level::Kwok, &[]),
    }
}

/// Builds what is missing of a level and of further controllers; returns the folder of the programs.
///
/// # Errors
/// When there is no Go, or a build fails.
pub(crate) fn build(level: Level, additions: &[Addition]) -> Result<PathBuf> {
    let place = Place::of_workspace()?;
    crds::fetch(&place.root().join("crds"))?;
    programs::build(&place, level)?;
    for addition in additions {
        addition.build(&place)?;
    }
    Ok(place.bin())
}
