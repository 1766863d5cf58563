//! A component cannot outlive the process it belongs to.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const LLMD: &str = env!("CARGO_BIN_EXE_llmd");

fn is_running(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[test]
fn dies_with_its_parent_even_by_sigkill() {
    let script = format!("'{LLMD}' __child --parent $$ -- sleep 600 & echo $!; wait");
    let mut parent = Command::new("sh").args(["-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut child = String::new();
    BufReader::new(parent.stdout.take().unwrap()).read_line(&mut child).unwrap();
    let child = child.trim();
    // Until the shell's child has become `sleep`, which is after the tie.
    let started = Instant::now();
    while std::fs::read_to_string(format!("/proc/{child}/comm")).unwrap_or_default().trim() != "sleep" {
        assert!(started.elapsed() < Duration::from_secs(10), "the child does not become sleep");
        std::thread::sleep(Duration::from_millis(5));
    }
    parent.kill().unwrap();
    parent.wait().unwrap();
    let started = Instant::now();
    while is_running(child) {
        assert!(started.elapsed() < Duration::from_secs(10), "process {child} outlived its parent");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn refuses_to_start_for_a_parent_that_is_gone() {
    let output = Command::new(LLMD).args(["__child", "--parent", "1", "--", "echo", "ran"]).output().unwrap();
    assert!(!output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    assert!(String::from_utf8_lossy(&output.stderr).contains("is gone"));
}

#[test]
fn a_missing_program_is_named() {
    let parent = std::process::id().to_string();
    let output = Command::new(LLMD).args(["__child", "--parent", &parent, "--", "/no/such/program"]).output();
    let output = output.unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.starts_with("llmd: cannot run /no/such/program: No such file"), "{said}");
}
