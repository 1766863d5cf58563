//! Running programs and talking to whoever called.

use std::ffi::OsString;
use std::io::Write;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The cargo that runs this task.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")))
}

/// Runs to the end; its output goes where ours goes.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {}", shown(command)))?;
    ensure!(status.success(), "{} failed: {status}", shown(command));
    Ok(())
}

/// Runs to the end; returns what it printed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {}", shown(command)))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} failed: {}", shown(command), errors.trim());
    String::from_utf8(output.stdout).with_context(|| format!("{} printed no text", shown(command)))
}

/// Program and arguments, for messages.
pub(crate) fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// A line of results on standard output.
pub(crate) fn say(text: &str) {
    // A reader that closed the pipe wants no more.
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// A line about progress or failure on standard error.
pub(crate) fn say_error(text: &str) {
    // Without standard error nobody can be told.
    let _ = writeln!(std::io::stderr().lock(), "xtask: {text}");
}
