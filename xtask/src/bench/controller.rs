//! `cargo xtask bench controller`: many services at once on a real API server.

use std::process::Command;

use anyhow::Result;

use crate::command::{run as run_command, say};
use crate::k8s;
use crate::workspace::build_release;

/// The controller and the program that measures it, which starts the controller beside it.
const PACKAGES: [&str; 2] = ["llmd-controller", "llmd-e2e"];

/// Builds both with optimisation, measures, prints tables.
pub(super) fn run(services: u32) -> Result<()> {
    let kubernetes = k8s::ensure_built()?;
    let programs = build_release(&PACKAGES)?;
    say("# Controller\n");
    let mut bench = Command::new(programs.join("controller-bench"));
    bench.env("KUBEBUILDER_ASSETS", kubernetes).arg(format!("--services={services}"));
    run_command(&mut bench)
}
