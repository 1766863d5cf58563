//! Where an image comes from: the facts that its labels state.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;

/// Version, commit and time of what is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Version of the workspace.
    pub(crate) version: String,
    /// Commit, with `-dirty` when files differ from it.
    pub(crate) revision: String,
    /// `SOURCE_DATE_EPOCH`, otherwise the time of the commit: building again gives the same bytes.
    pub(crate) created: Timestamp,
}

impl Origin {
    /// Asks git about the working tree at `root`. `epoch` is `SOURCE_DATE_EPOCH`, in seconds since 1970.
    ///
    /// # Errors
    /// When git cannot tell.
    pub(crate) fn of(root: &Path, version: &str, epoch: Option<i64>) -> Result<Self> {
        let commit = git(root, &["rev-parse", "HEAD"])?;
        let is_clean = git(root, &["status", "--porcelain", "--untracked-files=no"])?.is_empty();
        let seconds = match epoch {
            Some(seconds) => seconds,
            None => git(root, &["log", "-1", "--format=%ct"])?.parse().context("git's time of the commit")?,
        };
        Ok(Self {
            version: version.to_owned(),
            revision: if is_clean { commit } else { format!("{commit}-dirty") },
            created: Timestamp::from_second(seconds).context("SOURCE_DATE_EPOCH is out of range")?,
        })
    }
}

/// Files that differ from the commit or are not in it, as git lists them; empty when there are none.
///
/// # Errors
/// When git cannot tell.
pub(crate) fn changes(root: &Path) -> Result<String> {
    git(root, &["status", "--porcelain"])
}

fn git(root: &Path, args: &[&str]) -> Result<String> {
    let output = Command::new("git").current_dir(root).args(args).output().context("cannot run git")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "git {} failed: {errors}", args.join(" "));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
