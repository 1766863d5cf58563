//! Tasks that are programs of their own, because what they are made with takes longer to compile than all other tasks:
//! a registry client for `cargo xtask images` and `cargo xtask release`, the controller for `cargo xtask codegen`.

use anyhow::Result;

use crate::command::{self, cargo};
use crate::workspace::root;

/// Runs the program in `xtask/images`: its command `task` with `args`.
pub(crate) fn images(task: &str, args: &[String]) -> Result<()> {
    run("llmd-images", std::iter::once(task).chain(args.iter().map(String::as_str)))
}

/// Runs the program in `xtask/codegen`: writes the generated files, or with `check` only compares them.
pub(crate) fn codegen(check: bool) -> Result<()> {
    run("llmd-codegen", check.then_some("--check"))
}

fn run<'a>(package: &str, args: impl IntoIterator<Item = &'a str>) -> Result<()> {
    let mut program = cargo();
    program.current_dir(root()).args(["run", "--quiet", "--package", package, "--"]).args(args);
    command::run(&mut program)
}
