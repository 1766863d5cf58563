//! `cargo xtask up`: builds the stack with optimisation and becomes `llmd up`.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::shown;
use crate::workspace::{STACK, build_release};

/// Returns only when something failed before `llmd up` took over.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let mut llmd = Command::new(build_release(&STACK)?.join("llmd"));
    llmd.arg("up").args(args);
    // Replacing this process leaves nothing between the terminal's signals and `llmd up`.
    Err(llmd.exec()).with_context(|| format!("cannot run {}", shown(&llmd)))
}
