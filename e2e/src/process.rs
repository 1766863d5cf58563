//! Looking at and ending processes by id.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};

/// Whether a process runs; a zombie does not.
#[must_use]
pub fn is_running(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| Some(stat.rsplit_once(") ")?.1.starts_with('Z')))
        .is_some_and(|zombie| !zombie)
}

/// Sends SIGKILL.
///
/// # Errors
/// When there is no such process.
pub fn kill(pid: u32) -> Result<()> {
    signal(pid, Signal::KILL)
}

/// Sends SIGTERM.
///
/// # Errors
/// When there is no such process.
pub fn terminate(pid: u32) -> Result<()> {
    signal(pid, Signal::TERM)
}

/// Stops a process where it stands: its sockets stay open and silent.
///
/// # Errors
/// When there is no such process.
pub fn stall(pid: u32) -> Result<()> {
    signal(pid, Signal::STOP)
}

fn signal(pid: u32, signal: Signal) -> Result<()> {
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw).context("not a process id")?;
    kill_process(raw, signal).with_context(|| format!("cannot signal process {pid}"))
}

/// Open file descriptors of a process.
///
/// # Errors
/// When there is no such process.
pub fn n_open_files(pid: u32) -> Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

/// The ids of all processes.
///
/// # Errors
/// When `/proc` cannot be listed.
pub fn all() -> Result<impl Iterator<Item = u32>> {
    Ok(std::fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()))
}

/// The processes with `argument` on their command line.
///
/// # Errors
/// When `/proc` cannot be listed.
pub fn with_argument(argument: &str) -> Result<Vec<u32>> {
    let has_it = |pid: &u32| {
        let command_line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        command_line.split(|&byte| byte == 0).any(|it| it == argument.as_bytes())
    };
    Ok(all()?.filter(has_it).collect())
}

/// All descendants of a process, at any depth.
///
/// # Errors
/// When `/proc` cannot be listed.
pub fn descendants(root: u32) -> Result<BTreeSet<u32>> {
    let parents: Vec<(u32, u32)> = all()?
        .filter_map(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let parent = stat.rsplit_once(") ")?.1.split_whitespace().nth(1)?.parse().ok()?;
            Some((pid, parent))
        })
        .collect();
    let mut found = BTreeSet::new();
    loop {
        let next: Vec<u32> = parents
            .iter()
            .filter(|(pid, parent)| (*parent == root || found.contains(parent)) && !found.contains(pid))
            .map(|(pid, _)| *pid)
            .collect();
        if next.is_empty() {
            return Ok(found);
        }
        found.extend(next);
    }
}
