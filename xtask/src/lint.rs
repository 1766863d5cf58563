//! `cargo xtask lint`: all that is checked without running the programs.

use anyhow::{Result, bail};

use crate::command::{self, cargo, say};
use crate::workspace::root;
use crate::{codegen, deps, tidy};

/// Runs every check, also after one has failed, and says which did.
pub(crate) fn run() -> Result<()> {
    let mut failed = Vec::new();
    for (name, check) in CHECKS {
        match check() {
            Ok(()) => say(&format!("lint: {name}: ok")),
            Err(error) => {
                say(&format!("lint: {name}: {error:#}"));
                failed.push(name);
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { bail!("lint failed: {}", failed.join(", ")) }
}

type Check = fn() -> Result<()>;

/// Quick ones first.
const CHECKS: [(&str, Check); 5] = [
    ("fmt", fmt),
    ("dependency direction", deps::check),
    ("tidy", tidy::check),
    ("generated files", codegen::check),
    ("clippy", clippy),
];

fn fmt() -> Result<()> {
    command::run(cargo().current_dir(root()).args(["fmt", "--all", "--check", "--", "-l"]))
}

fn clippy() -> Result<()> {
    let arguments = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    command::run(cargo().current_dir(root()).args(arguments))
}
