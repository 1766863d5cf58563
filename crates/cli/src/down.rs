//! `llmd down`: asks the running `llmd up` to end, and waits until it has.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::args::{DownArgs, Environment};
use crate::state::dir::{self, StateDir};

/// An orderly end takes at most a grace for each of its stages; this is more.
const ORDERLY: Duration = Duration::from_secs(75);
/// After SIGKILL only the kernel has work left.
const FORCED: Duration = Duration::from_secs(5);

/// Why the stack still runs.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The state folder cannot be used.
    #[error(transparent)]
    Dir(#[from] dir::Error),
    /// The process belongs to somebody else.
    #[error("cannot end process {pid}")]
    Signal {
        /// `llmd up`.
        pid: u32,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It survived SIGKILL.
    #[error("process {0} does not end")]
    Survived(u32),
}

/// Ends the stack of a state folder; nothing running is a success.
///
/// # Errors
/// See [`Error`].
pub fn run(args: DownArgs, environment: &Environment) -> Result<(), Error> {
    let dir = StateDir::resolve(args.dir.dir, environment)?;
    let Some(pid) = dir.owner()? else {
        say(&format!("no stack runs in {}", dir.root().display()));
        return Ok(());
    };
    for (signal, patience) in [(Signal::TERM, ORDERLY), (Signal::KILL, FORCED)] {
        send(pid, signal)?;
        if has_ended(&dir, pid, patience)? {
            say("stopped");
            return Ok(());
        }
    }
    Err(Error::Survived(pid))
}

fn send(pid: u32, signal: Signal) -> Result<(), Error> {
    let Some(target) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(()) };
    match kill_process(target, signal) {
        // It ended by itself in the meantime.
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(errno) => Err(Error::Signal { pid, source: errno.into() }),
    }
}

fn has_ended(dir: &StateDir, pid: u32, patience: Duration) -> Result<bool, Error> {
    let start = Instant::now();
    while start.elapsed() < patience {
        if dir.owner()? != Some(pid) {
            return Ok(true);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(false)
}

fn say(text: &str) {
    // A reader that closed the pipe wants no more.
    let _ = writeln!(io::stdout().lock(), "{text}");
}
