//! Running a program to its end, which must come.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::process::{Child, Command, ExitStatus, Output};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

/// Longer than any program is told to wait for something. One that takes longer has hung.
const DEADLINE: Duration = Duration::from_secs(600);
/// What is run most takes a twentieth of a second.
const POLL: Duration = Duration::from_millis(5);

/// What a command printed on standard output.
///
/// # Errors
/// When it cannot be run, fails or hangs; the message holds what it printed on standard error.
pub fn output(command: &mut Command) -> Result<String> {
    let output = run(command, "")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} failed ({}): {}", shown(command), output.status, errors.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command with `input` on its standard input; it may fail.
///
/// # Errors
/// When it cannot be run or hangs; the message holds what it printed on standard error.
pub fn run(command: &mut Command, input: &str) -> Result<Output> {
    run_within(DEADLINE, command, input)
}

/// Files take what a command prints: unlike pipes they are never full, and what outlives the command may keep them.
fn run_within(deadline: Duration, command: &mut Command, input: &str) -> Result<Output> {
    let (mut stdin, stdout, stderr) = (tempfile::tempfile()?, tempfile::tempfile()?, tempfile::tempfile()?);
    stdin.write_all(input.as_bytes())?;
    stdin.rewind()?;
    command.stdin(stdin).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
    let mut child = command.spawn().with_context(|| format!("cannot run {}", shown(command)))?;
    let status = ended(&mut child, deadline)?;
    if status.is_none() {
        child.kill()?;
        child.wait()?;
    }
    let (stdout, stderr) = (printed(stdout)?, printed(stderr)?);
    let status = status.with_context(|| {
        let errors = String::from_utf8_lossy(&stderr);
        format!("{} does not end within {deadline:?}: {}", shown(command), errors.trim())
    })?;
    Ok(Output { status, stdout, stderr })
}

/// Waits for a process; `None` when it goes on beyond the deadline.
///
/// # Errors
/// When it cannot be waited for.
pub fn ended(child: &mut Child, deadline: Duration) -> Result<Option<ExitStatus>> {
    let start = Instant::now();
    while start.elapsed() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(POLL);
    }
    Ok(None)
}

fn printed(mut file: File) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut text)?;
    Ok(text)
}

/// Program and arguments, for messages.
fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn much_goes_in_and_out() {
        let input = "word\n".repeat(100_000);
        let output = run(Command::new("sh").args(["-c", "tee /dev/stderr"]), &input).unwrap();
        assert_eq!((output.stdout, output.stderr), (input.clone().into_bytes(), input.into_bytes()));
    }

    #[test]
    fn what_hangs_is_ended_and_named() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo why >&2; exec sleep 600"]);
        let error = run_within(Duration::from_millis(200), &mut command, "").unwrap_err().to_string();
        assert!(error.starts_with("sh -c ") && error.ends_with("within 200ms: why"), "{error}");
    }
}
