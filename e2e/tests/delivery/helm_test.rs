//! What a release says about itself is true: `helm test` passes with real pods, and what its notes tell people to type
//! works as printed.

use anyhow::{Context as _, Result, ensure};
use llmd_e2e::helm::helm;

use crate::guides;
use crate::stack::{self, SYSTEM};
use crate::world::World;

/// Services whose model the quickstart brings.
const QUICKSTART: &str = "llmisvc/quickstart";
/// Ports take a moment to be forwarded; people are slower than that.
const PATIENCE: &str = "curl() {
  command curl --fail --silent --show-error --retry 20 --retry-connrefused --retry-delay 1 \"$@\"
}
";

pub(crate) fn story(world: &World) -> Result<()> {
    stack::provide(world)?;
    world.load("curl.tar")?;
    stack::install_with(world, &["quickstart.enabled=true"])?;
    world.wait_for(SYSTEM, QUICKSTART, "Ready")?;
    let told = tests(world).and_then(|()| notes(world));
    stack::install(world)?;
    // Its manifest stays on purpose when the chart's value goes.
    world.kubectl().run(&["-n", SYSTEM, "delete", QUICKSTART, "--timeout=120s"])?;
    told
}

fn tests(world: &World) -> Result<()> {
    let report = helm(world.kubectl(), &["test", "llmd", "--namespace", SYSTEM, "--timeout=120s"])?;
    let suites: Vec<&str> = report.lines().filter_map(|it| it.strip_prefix("TEST SUITE:")).collect();
    let passed = report.lines().filter(|it| it.starts_with("Phase:") && it.ends_with("Succeeded")).count();
    ensure!(!suites.is_empty() && passed == suites.len(), "helm test says:\n{report}");
    println!("  tests passed: {}", suites.iter().map(|it| it.trim()).collect::<Vec<_>>().join(", "));
    Ok(())
}

fn notes(world: &World) -> Result<()> {
    let notes = helm(world.kubectl(), &["get", "notes", "llmd", "--namespace", SYSTEM])?;
    let commands = commands(&notes);
    ensure!(commands.contains("curl "), "the notes name no curl line:\n{notes}");
    guides::run(world, "the notes of llmd", &(PATIENCE.to_owned() + &commands)).context(commands)
}

/// The lines that are set off from the text.
fn commands(notes: &str) -> String {
    let lines = notes.lines().filter_map(|it| it.strip_prefix("  "));
    lines.map(|it| format!("{it}\n")).collect()
}
