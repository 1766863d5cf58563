//! Memory and processor time of a process, from `/proc`.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// What a process uses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// Resident, in bytes.
    pub(crate) memory: u64,
    /// Most ever resident, in bytes.
    pub(crate) peak: u64,
    /// User and system time since its start.
    pub(crate) processor: Duration,
}

impl Usage {
    /// Of the process `pid`.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name in parentheses may hold spaces; fields 14 and 15 are the times in ticks (proc_pid_stat(5)).
        let (_, fields) = stat.rsplit_once(')').context("stat has a name")?;
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
        let ticks = ticks.sum::<Result<u64, _>>()?;
        let per_second = rustix::param::clock_ticks_per_second();
        Ok(Self {
            memory: bytes(&status, "VmRSS:")?,
            peak: bytes(&status, "VmHWM:")?,
            processor: Duration::from_millis(ticks * 1000 / per_second),
        })
    }
}

fn bytes(status: &str, name: &str) -> Result<u64> {
    let line = status.lines().find_map(|it| it.strip_prefix(name)).context("status has memory")?;
    let kibibytes = line.trim().trim_end_matches("kB").trim();
    Ok(kibibytes.parse::<u64>()? * 1024)
}
