//! What a real node puts on the machine besides its folder, and how all of it goes away again: processes, mounts,
//! the network namespace, cgroups.
//!
//! There is one real node a machine at most, in fixed places, so what a killed run left is found by looking there.
//! The run that holds the lock owns the places; the lock goes with its process.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use super::network;
use crate::args::is_on_path;
use crate::command::output;
use crate::process;

/// Sockets and the container runtime's state. Short, because the path of a socket is limited to 107 bytes.
pub(super) const RUN: &str = "/run/llmd-e2e";
/// Data, credentials, logs.
const DATA: &str = "/var/lib/llmd-e2e";
const LOCK: &str = "/run/llmd-e2e.lock";
/// Programs that run pods and are not part of Kubernetes, and the Debian packages that have them.
const FOREIGN_PROGRAMS: [(&str, &str); 7] = [
    ("runc", "runc"),
    ("iptables", "iptables"),
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("mount", "mount"),
    ("umount", "mount"),
    ("sysctl", "procps"),
];
/// Programs of a cluster, which are ended when their command line names one of the folders above.
const PROGRAMS: [&str; 8] = [
    "kubelet",
    "kube-proxy",
    "kube-controller-manager",
    "kube-scheduler",
    "containerd",
    "containerd-shim-runc-v2",
    "kube-apiserver",
    "etcd",
];
/// A killed process is gone in milliseconds, unless the kernel still writes for it.
const GONE_DEADLINE: Duration = Duration::from_secs(20);

/// The right to have a real node on this machine.
#[derive(Debug)]
pub(super) struct Machine {
    _lock: File,
}

impl Machine {
    /// Takes the machine and removes what an earlier run left, or says who has it.
    ///
    /// # Errors
    /// When leftovers cannot be removed.
    pub(super) fn claim() -> Result<Result<Self, String>> {
        let machine = match Self::lock()? {
            Ok(machine) => machine,
            Err(reason) => return Ok(Err(reason)),
        };
        clear()?;
        let another = process::all()?.find(|&pid| name_of(pid).as_deref() == Some("kubelet"));
        if let Some(pid) = another {
            return Ok(Err(format!("another kubelet runs on this machine (process {pid})")));
        }
        Ok(Ok(machine))
    }

    /// Takes the machine as it is, or says who has it.
    ///
    /// # Errors
    /// When there can be no lock.
    pub(super) fn lock() -> Result<Result<Self, String>> {
        let lock = File::create(LOCK).with_context(|| format!("cannot make {LOCK}"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Ok(Self { _lock: lock })),
            Err(TryLockError::WouldBlock) => {
                Ok(Err("another run has a real node on this machine".to_owned()))
            }
            Err(TryLockError::Error(error)) => Err(error).context("cannot lock the real node's places"),
        }
    }

    /// A new folder for the cluster.
    ///
    /// # Errors
    /// When it cannot be made.
    #[expect(clippy::unused_self, reason = "only who holds the machine may use its folder")]
    pub(super) fn folder(&self) -> std::io::Result<TempDir> {
        fs::create_dir_all(RUN)?;
        fs::create_dir_all(DATA)?;
        TempDir::with_prefix_in("run-", DATA)
    }
}

/// The folder of a cluster that is there, running or not.
pub(super) fn existing_folder() -> Option<std::path::PathBuf> {
    let folders = fs::read_dir(DATA).ok()?;
    folders.filter_map(|it| Some(it.ok()?.path())).find(|it| it.join("admin.conf").exists())
}

/// Why there can be no real node here.
pub(super) fn reason_against() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("a real node needs root".to_owned());
    }
    let missing = FOREIGN_PROGRAMS.iter().find(|(program, _)| !is_on_path(program));
    missing.map(|(program, package)| {
        format!("no {program} on PATH: a real node needs the Debian package {package}, or another with it")
    })
}

/// Removes whatever a real node left, in the order in which nothing comes back.
///
/// # Errors
/// When something stays.
pub(super) fn clear() -> Result<()> {
    kill(PROGRAMS.into_iter().filter(|name| !name.starts_with("containerd")))?;
    kill(["containerd"].into_iter())?;
    let containers = containers();
    kill(["containerd-shim-runc-v2"].into_iter())?;
    end("processes of containers", || Ok(process::all()?.filter(|&pid| is_in(pid, &containers)).collect()))?;
    unmount()?;
    network::remove()?;
    remove_cgroups(Path::new("/sys/fs/cgroup"));
    for folder in [RUN, DATA] {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {folder}"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Ends the programs of these names that work in the real node's folders.
fn kill(names: impl Iterator<Item = &'static str>) -> Result<()> {
    let names: Vec<_> = names.collect();
    let is_meant = |&pid: &u32| name_of(pid).is_some_and(|it| names.contains(&it.as_str())) && is_ours(pid);
    end(&names.join(", "), || Ok(process::all()?.filter(is_meant).collect()))
}

/// Kills what `find` finds until it finds nothing.
fn end(what: &str, find: impl Fn() -> Result<Vec<u32>>) -> Result<()> {
    let start = Instant::now();
    loop {
        let found: Vec<u32> = find()?.into_iter().filter(|&pid| process::is_running(pid)).collect();
        if found.is_empty() {
            return Ok(());
        }
        if start.elapsed() > GONE_DEADLINE {
            bail!("still there after {GONE_DEADLINE:?}: {what}, processes {found:?}");
        }
        for pid in found {
            // It may have ended since it was found.
            let _ = process::kill(pid);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Name of the program that a process runs.
fn name_of(pid: u32) -> Option<String> {
    let program = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    Some(program.file_name()?.to_str()?.to_owned())
}

/// Whether a process's command line names one of the real node's folders.
fn is_ours(pid: u32) -> bool {
    let command_line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let command_line = String::from_utf8_lossy(&command_line).into_owned();
    [RUN, DATA].iter().any(|folder| command_line.contains(&format!("{folder}/")))
}

/// Ids of the containers that the runtime knows: names of their cgroups.
fn containers() -> Vec<String> {
    let tasks = fs::read_dir(format!("{RUN}/state/io.containerd.runtime.v2.task/k8s.io"));
    let names = tasks.into_iter().flatten().filter_map(|it| it.ok()?.file_name().into_string().ok());
    names.filter(|it| it.len() == 64).collect()
}

fn is_in(pid: u32, containers: &[String]) -> bool {
    let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    containers.iter().any(|id| cgroups.contains(id.as_str()))
}

/// Unmounts what lies under the real node's folders: volumes, root file systems, pods' namespaces.
fn unmount() -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("cannot read the mounts")?;
    for target in mounted_below(&mounts, &[RUN, DATA]) {
        output(Command::new("umount").args(["--lazy", target]))?;
    }
    Ok(())
}

/// Mount points below `folders`, inner before outer.
fn mounted_below<'a>(mounts: &'a str, folders: &[&str]) -> Vec<&'a str> {
    let targets = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    let is_below =
        |target: &str, folder: &str| target.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    let mut found: Vec<_> =
        targets.filter(|target| folders.iter().any(|folder| is_below(target, folder))).collect();
    found.sort_unstable();
    found.reverse();
    found
}

/// Removes the empty cgroups of pods, whatever version the hierarchy has. Those in use stay.
fn remove_cgroups(folder: &Path) {
    for child in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        let is_folder = child.file_type().is_ok_and(|it| it.is_dir());
        if is_folder {
            remove_cgroups(&child.path());
        }
    }
    if folder.components().any(|it| it.as_os_str().to_string_lossy().starts_with("kubepods")) {
        // A cgroup with processes is somebody else's.
        let _ = fs::remove_dir(folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_the_node_are_found_from_the_inside_out() {
        let mounts = "30 1 254:0 / /run rw - ext4 /dev/vda rw\n\
                      31 30 0:1 / /run/llmd-e2e rw - tmpfs tmpfs rw\n\
                      32 30 0:1 / /run/llmd-e2e/state/a rw - overlay overlay rw\n\
                      33 30 0:1 / /run/llmd-e2e/state/a/b rw - tmpfs tmpfs rw\n\
                      34 30 0:1 / /run/llmd-e2e-other/c rw - tmpfs tmpfs rw\n";
        let expected = ["/run/llmd-e2e/state/a/b", "/run/llmd-e2e/state/a"];
        assert_eq!(mounted_below(mounts, &[RUN, DATA]), expected);
    }
}
