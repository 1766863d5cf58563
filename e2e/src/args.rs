//! What the environment of a test run says.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Folder with the programs of Kubernetes: `KUBEBUILDER_ASSETS`, or where `cargo xtask k8s` builds them.
///
/// # Errors
/// When the running test does not lie in a target folder.
pub fn kubernetes_programs() -> anyhow::Result<PathBuf> {
    if let Some(assets) = std::env::var_os("KUBEBUILDER_ASSETS") {
        return Ok(PathBuf::from(assets));
    }
    Ok(target()?.join("k8s/bin"))
}

/// Cargo's folder of the profile with which the running test or program was built: the programs of the workspace are
/// there.
///
/// # Errors
/// When it does not lie in a target folder.
pub fn programs() -> anyhow::Result<PathBuf> {
    let running = std::env::current_exe()?;
    let folder = running.parent().context("a program lies in a folder")?;
    let is_test = folder.file_name().is_some_and(|it| it == "deps");
    let profile = if is_test { folder.parent() } else { Some(folder) };
    Ok(profile.context("tests run from target/<profile>/deps")?.to_path_buf())
}

/// Cargo's target folder.
///
/// # Errors
/// When the running test or program does not lie in one.
pub fn target() -> anyhow::Result<PathBuf> {
    let programs = programs()?;
    Ok(programs.parent().context("a profile's folder lies in the target folder")?.to_path_buf())
}

/// Whether a program of this name is on `PATH`.
#[must_use]
pub fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// `PATH` with `folder` before everything else.
///
/// # Errors
/// When the folder's name holds a colon.
pub fn path_beginning_with(folder: &Path) -> anyhow::Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_path_buf()).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).with_context(|| format!("{} cannot be on PATH", folder.display()))
}
