//! Starting and ending the process of a component.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::up::log_file::LogFile;
use crate::up::plan::CommandLine;

/// The running `llmd` itself, even when the file it came from was replaced since.
pub const THIS_PROGRAM: &str = "/proc/self/exe";

/// Starts `command` through the `__child` command of `launcher` (an `llmd`), its output appended to `log`.
///
/// Must run on the main thread: the child dies with the thread that starts it.
///
/// # Errors
/// When the log cannot be opened or no process can be made.
pub fn start(launcher: &Path, command: &CommandLine, log: &LogFile) -> io::Result<Child> {
    let stdout = log.open_for_append()?;
    let stderr = stdout.try_clone()?;
    let parent = std::process::id().to_string();
    Command::new(launcher)
        .args(["__child", "--parent", &parent, "--"])
        .arg(&command.program)
        .args(&command.args)
        .envs(command.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        // A group of its own: Ctrl-C in the terminal reaches `llmd up` alone, which then ends things in order.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

/// Sends `signal` to a child that was not waited for yet.
pub fn send(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid
        && let Err(error) = kill_process(pid, signal)
    {
        tracing::debug!(%error, ?pid, ?signal, "cannot signal a component");
    }
}

/// How a process ended, or why there was none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// In words that follow the component's name.
    pub how: String,
    /// Exit code, when it exited by itself.
    pub code: Option<i32>,
}

impl End {
    /// There was no process.
    #[must_use]
    pub fn not_started(error: &io::Error) -> Self {
        Self { how: format!("cannot be started: {error}"), code: None }
    }

    /// What waiting for a process gave.
    #[must_use]
    pub fn of(waited: &io::Result<ExitStatus>) -> Self {
        let status = match waited {
            Err(error) => return Self { how: format!("cannot be waited for: {error}"), code: None },
            Ok(status) => status,
        };
        let how = match (status.code(), status.signal()) {
            (Some(code), _) => format!("ended with exit code {code}"),
            (None, Some(9)) => "was killed (SIGKILL)".to_owned(),
            (None, Some(signal)) => format!("was ended by signal {signal}"),
            (None, None) => "ended".to_owned(),
        };
        Self { how, code: status.code() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_said_in_words() {
        let words = |raw| End::of(&Ok(ExitStatus::from_raw(raw))).how;
        assert_eq!(words(0), "ended with exit code 0");
        assert_eq!(words(2 << 8), "ended with exit code 2");
        assert_eq!(words(9), "was killed (SIGKILL)");
        assert_eq!(words(11), "was ended by signal 11");
    }
}
