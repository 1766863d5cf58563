//! `llmd __child`: a process that cannot outlive the stack it belongs to.
//!
//! `llmd up` starts every component through this command. It asks the kernel for SIGKILL on the death of its
//! parent and then becomes the component by `exec`, which keeps that request. So even `kill -9` of `llmd up`
//! leaves nothing behind. The kernel ties the request to the thread that started the child: `llmd up` starts
//! children from its main thread alone.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

/// Why the component did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused the death signal.
    #[error("cannot tie this process to its parent")]
    Tie(#[source] io::Error),
    /// The parent died before the tie was in place.
    #[error("process {0} that asked for this component is gone")]
    Orphan(u32),
    /// The program is missing or not executable.
    #[error("cannot run {}", program.display())]
    Exec {
        /// The program.
        program: OsString,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Becomes `command` (program and arguments, never empty); returns only when that fails.
#[must_use]
pub fn become_component(parent: u32, command: &[OsString]) -> Error {
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return Error::Tie(error.into());
    }
    // The parent may have died between the fork and the line above: then nobody would ever send the signal.
    let has_parent = getppid().is_some_and(|it| u32::try_from(it.as_raw_pid()) == Ok(parent));
    if !has_parent {
        return Error::Orphan(parent);
    }
    let (program, arguments) = command.split_first().expect("clap requires the program");
    let source = Command::new(program).args(arguments).exec();
    Error::Exec { program: program.clone(), source }
}
