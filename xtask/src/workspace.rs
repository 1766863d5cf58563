//! Where the workspace is, what it consists of, and building its programs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use cargo_metadata::{Metadata, MetadataCommand};

use crate::command::{cargo, run};

/// The packages that hold the programs of the stack.
pub(crate) const STACK: [&str; 4] = ["llmd-cli", "llmd-engine", "llmd-epp", "llmd-sidecar"];

/// Root of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the root of the workspace")
}

/// Every package of the workspace.
pub(crate) fn metadata() -> Result<Metadata> {
    MetadataCommand::new().current_dir(root()).no_deps().exec().context("cargo metadata")
}

/// Builds the programs of `packages` with optimisation; returns their folder.
pub(crate) fn build_release(packages: &[&str]) -> Result<PathBuf> {
    let mut build = cargo();
    build.current_dir(root()).args(["build", "--release", "--bins"]);
    for package in packages {
        build.args(["--package", package]);
    }
    run(&mut build)?;
    Ok(metadata()?.target_directory.into_std_path_buf().join("release"))
}

/// This machine's architecture as images name it.
///
/// # Errors
/// When no images are made for it.
pub(crate) fn architecture() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => bail!("not supported: images for {other}"),
    }
}
