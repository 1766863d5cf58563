//! What a story starts and must not leave behind: processes beside it, and namespaces.
//!
//! All of it goes with the story. An interrupt comes in the middle of one, from another thread: so it is known here.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process_group};

/// Process groups that run. `None` as soon as the program ends, so that none begins after it.
static GROUPS: Mutex<Option<Vec<Pid>>> = Mutex::new(Some(Vec::new()));
/// Namespaces of the story that is being told.
static NAMESPACES: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());

/// A process beside the story, and all that it started. Dropping it ends them.
pub(crate) struct Process {
    pub(crate) child: Child,
    group: Pid,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let mut groups = lock(&GROUPS);
        let groups = groups.as_mut().context("the program is interrupted")?;
        let child = command.stdin(Stdio::null()).process_group(0).spawn();
        let child = child.with_context(|| format!("cannot run {}", command.get_program().display()))?;
        let group = Pid::from_child(&child);
        groups.push(group);
        Ok(Self { child, group })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(groups) = &mut *lock(&GROUPS) {
            groups.retain(|it| *it != self.group);
        }
        end(self.group);
        let _ = self.child.wait();
    }
}

/// Ends all processes, and lets no further one begin.
pub(crate) fn end_processes() {
    for group in lock(&GROUPS).take().into_iter().flatten() {
        end(group);
    }
}

fn end(group: Pid) {
    // Nothing is left of one that ended by itself.
    let _ = kill_process_group(group, Signal::KILL);
}

/// Remembers a namespace of the story.
pub(crate) fn add_namespace(name: &'static str) {
    lock(&NAMESPACES).push(name);
}

/// The namespaces of the story.
pub(crate) fn namespaces() -> Vec<&'static str> {
    lock(&NAMESPACES).clone()
}

/// The next story has namespaces of its own.
pub(crate) fn forget_namespaces() {
    lock(&NAMESPACES).clear();
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
