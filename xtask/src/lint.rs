//! `cargo xtask lint`: all that is checked without running the programs.

use anyhow::{Result, bail};

use crate::command::{self, cargo, say};
use crate::workspace::root;
use crate::{deps, packages, programs, tidy};

/// Runs every check, also after one has failed, and says which did. `each_crate` adds building every crate alone.
pub(crate) fn run(each_crate: bool) -> Result<()> {
    let mut failed = Vec::new();
    for (name, check) in CHECKS.into_iter().chain(each_crate.then_some(EACH_CRATE)) {
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
const CHECKS: [(&str, Check); 6] = [
    ("fmt", fmt),
    ("dependency direction", deps::check),
    ("tidy", tidy::check),
    ("packages", packages::check),
    ("generated files", generated),
    ("clippy", clippy),
];

/// Compiles dependencies once more for each set of features, which takes minutes.
const EACH_CRATE: (&str, Check) = ("each crate alone", packages::check_each);

fn fmt() -> Result<()> {
    command::run(cargo().current_dir(root()).args(["fmt", "--all", "--check", "--", "-l"]))
}

fn generated() -> Result<()> {
    programs::codegen(true)
}

fn clippy() -> Result<()> {
    let arguments = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    command::run(cargo().current_dir(root()).args(arguments))
}
