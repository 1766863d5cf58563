//! How much memory the process may use. Reads `/proc` and the control group.

use std::fs;

/// Memory of the machine or the container, whichever is less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryInfo {
    /// Bytes.
    pub total_bytes: u64,
}

impl MemoryInfo {
    /// Asks the kernel. What it does not say counts as no limit.
    #[must_use]
    pub fn read() -> Self {
        let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|it| meminfo_total(&it));
        let container =
            fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|it| it.trim().parse().ok());
        let total_bytes = machine.into_iter().chain(container).min().unwrap_or(u64::MAX);
        Self { total_bytes }
    }

    /// What one of `n` equal users may use.
    #[must_use]
    pub fn share(self, n: usize) -> Self {
        Self { total_bytes: self.total_bytes / (n.max(1) as u64) }
    }
}

/// `MemTotal` of `/proc/meminfo`, which is in units of 1024 bytes (proc(5)).
fn meminfo_total(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|it| it.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_total() {
        assert_eq!(meminfo_total("MemTotal:       16384 kB\nMemFree: 1 kB\n"), Some(16 << 20));
        assert_eq!(meminfo_total("nothing"), None);
    }
}
