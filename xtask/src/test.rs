//! `cargo xtask test`: every test of the workspace, and one line that sums them up.

mod tally;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use anyhow::{Context, Result};

use crate::command::{cargo, run as run_command, say, say_error, shown};
use crate::k8s;
use crate::sums::Sums;
use crate::workspace::root;
use tally::Tally;

/// Builds the programs and tests `crates`, or all of them.
pub(crate) fn run(crates: &[String]) -> Sums {
    // Kubernetes builds beside the workspace. Where it cannot, the stories that need it say so and are skipped.
    let kubernetes = std::thread::spawn(k8s::ensure_built);
    // The end-to-end stories start the programs as they lie beside the test.
    let built = run_command(cargo().current_dir(root()).args(["build", "--workspace", "--bins"]))
        .and_then(|()| run_command(cargo().current_dir(root()).args(["test", "--workspace", "--no-run"])));
    if let Ok(Err(error)) = kubernetes.join() {
        say_error(&format!("no Kubernetes for the tests: {error:#}"));
    }
    built.and_then(|()| test(crates)).unwrap_or_else(|error| {
        say_error(&format!("{error:#}"));
        Sums::BROKEN
    })
}

fn test(crates: &[String]) -> Result<Sums> {
    let mut command = cargo();
    command.current_dir(root()).args(["test", "--no-fail-fast"]).stdout(Stdio::piped());
    if crates.is_empty() {
        command.arg("--workspace");
    }
    for name in crates {
        command.args(["--package", name]);
    }
    // Passing tests say why they skipped what this machine cannot do; without this their words are dropped.
    command.args(["--", "--show-output"]);
    let mut child = command.spawn().with_context(|| format!("cannot run {}", shown(&command)))?;
    let stdout = child.stdout.take().context("standard output is piped")?;
    let mut tally = Tally::default();
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.context("cannot read the output of cargo test")?;
        if let Some(line) = tally.read(&String::from_utf8_lossy(&line)) {
            say(&line);
        }
    }
    let status = child.wait().with_context(|| format!("cannot wait for {}", shown(&command)))?;
    Ok(tally.sums(status.success()))
}
