//! What the environment of a test run says.

use std::path::PathBuf;

/// Folder with the programs of Kubernetes: `KUBEBUILDER_ASSETS`, or where `cargo xtask k8s` builds them.
///
/// # Errors
/// When the running test does not lie in a target folder.
pub fn kubernetes_programs() -> anyhow::Result<PathBuf> {
    if let Some(assets) = std::env::var_os("KUBEBUILDER_ASSETS") {
        return Ok(PathBuf::from(assets));
    }
    let test = std::env::current_exe()?;
    let target =
        test.ancestors().nth(3).ok_or_else(|| anyhow::anyhow!("tests run from target/<profile>/deps"))?;
    Ok(target.join("k8s/bin"))
}
