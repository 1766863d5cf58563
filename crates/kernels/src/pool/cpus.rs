//! How many compute threads this process may use, and on which CPUs.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// CPUs that may run compute threads: those of the affinity mask, one for each physical core (a second
/// hyper-thread adds nothing to kernels that keep the vector units busy).
#[must_use]
pub(crate) fn allowed_cores() -> Vec<usize> {
    let Ok(allowed) = sched_getaffinity(None) else { return vec![0] };
    let mut taken = BTreeSet::new();
    let mut cores = Vec::new();
    for cpu in (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu)) {
        if taken.insert(cpu) {
            taken.extend(siblings(cpu));
            cores.push(cpu);
        }
    }
    cores
}

/// Compute threads to start when nobody says: one a core, but no more than the cgroup's CPU quota.
#[must_use]
pub fn default_threads() -> usize {
    let cores = allowed_cores().len().max(1);
    cgroup_quota().map_or(cores, |quota| cores.min((quota.floor() as usize).max(1)))
}

/// Binds the calling thread to `cpu`. Failing to is no error: the thread then runs wherever there is room.
pub(crate) fn pin_current_thread(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu);
    let _ = sched_setaffinity(None, &set);
}

/// The hyper-threads of `cpu`'s core.
fn siblings(cpu: usize) -> Vec<usize> {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
    fs::read_to_string(path).map(|list| parse_cpu_list(&list)).unwrap_or_default()
}

/// Reads `0-2,7` as 0, 1, 2, 7.
fn parse_cpu_list(list: &str) -> Vec<usize> {
    list.trim()
        .split(',')
        .filter_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            Some(first.parse().ok()?..=last.parse().ok()?)
        })
        .flatten()
        .take(CpuSet::MAX_CPU)
        .collect()
}

/// CPUs' worth of time the cgroup (v2) grants: the least `cpu.max` on the way to the root.
fn cgroup_quota() -> Option<f64> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    Path::new(path)
        .ancestors()
        .filter_map(|it| {
            let directory = Path::new("/sys/fs/cgroup").join(it.strip_prefix("/").ok()?);
            parse_cpu_max(&fs::read_to_string(directory.join("cpu.max")).ok()?)
        })
        .min_by(f64::total_cmp)
}

/// Reads `150000 100000` as 1.5 and `max 100000` as no limit.
fn parse_cpu_max(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lists() {
        assert_eq!(parse_cpu_list("0-2,7\n"), [0, 1, 2, 7]);
        assert_eq!(parse_cpu_list("3"), [3]);
        assert_eq!(parse_cpu_list(""), [] as [usize; 0]);
    }

    #[test]
    fn quotas() {
        assert_eq!(parse_cpu_max("150000 100000\n"), Some(1.5));
        assert_eq!(parse_cpu_max("max 100000\n"), None);
    }

    #[test]
    fn there_is_at_least_one_thread() {
        assert!(default_threads() >= 1);
    }
}
