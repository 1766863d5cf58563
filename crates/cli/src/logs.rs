//! `llmd logs`: the ends of the components' logs, and what is appended to them.
//!
//! Reads the files alone, so the logs of a stack that ended are there as well.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::Duration;

use crate::args::{Environment, LogsArgs};
use crate::state::dir::{self, StateDir};
use crate::up::log_file::tail;

/// Between looks for appended lines.
const POLL: Duration = Duration::from_millis(200);
/// Longest line that is kept together while it grows, in bytes.
const MAX_LINE: usize = 64 << 10;

/// Why there are no logs.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The state folder cannot be used.
    #[error(transparent)]
    Dir(#[from] dir::Error),
    /// No stack has run here.
    #[error("no logs in {}: no stack has run there", .0.display())]
    NoLogs(PathBuf),
    /// No component of that name.
    #[error("no component {name:?}; there are: {}", known.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A log cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The log.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Prints the logs; with `follow` until the process is interrupted.
///
/// # Errors
/// See [`Error`].
pub fn run(args: LogsArgs, environment: &Environment) -> Result<(), Error> {
    let LogsArgs { component, follow, lines, dir } = args;
    let dir = StateDir::resolve(dir.dir, environment)?;
    let names = chosen(component, known(&dir)?)?;
    let width = if names.len() > 1 { names.iter().map(String::len).max() } else { None };
    let label = |name: &str| width.map(|width| format!("{name:<width$} | ")).unwrap_or_default();
    let mut followers = Vec::new();
    for name in &names {
        let path = dir.log_file(name);
        let (lines, end) =
            tail(&path, 0, lines).map_err(|source| Error::Read { path: path.clone(), source })?;
        if !print(&label(name), &lines) {
            return Ok(());
        }
        followers.push((label(name), Follower { path, offset: end, pending: Vec::new() }));
    }
    if follow { keep_printing(&mut followers) } else { Ok(()) }
}

/// Until nobody reads any more or the process is interrupted.
fn keep_printing(followers: &mut [(String, Follower)]) -> Result<(), Error> {
    loop {
        std::thread::sleep(POLL);
        for (label, follower) in &mut *followers {
            let lines = follower.appended();
            let lines = lines.map_err(|source| Error::Read { path: follower.path.clone(), source })?;
            if !print(label, &lines) {
                return Ok(());
            }
        }
    }
}

fn known(dir: &StateDir) -> Result<Vec<String>, Error> {
    let entries = fs::read_dir(dir.file("logs")).map_err(|_| Error::NoLogs(dir.root().to_owned()))?;
    let names = entries.filter_map(Result::ok).map(|it| it.file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = names.filter_map(|it| it.strip_suffix(".log").map(str::to_owned)).collect();
    names.sort();
    if names.is_empty() { Err(Error::NoLogs(dir.root().to_owned())) } else { Ok(names) }
}

fn chosen(wanted: Option<String>, known: Vec<String>) -> Result<Vec<String>, Error> {
    match wanted {
        None => Ok(known),
        Some(name) if known.contains(&name) => Ok(vec![name]),
        Some(name) => Err(Error::Unknown { name, known }),
    }
}

/// Prints and says whether anybody still reads.
fn print(label: &str, lines: &[String]) -> bool {
    let mut stdout = io::stdout().lock();
    lines.iter().all(|line| writeln!(stdout, "{label}{line}").is_ok())
}

/// Reads what is appended to one log.
#[derive(Debug)]
struct Follower {
    path: PathBuf,
    offset: u64,
    /// The line that has no end yet.
    pending: Vec<u8>,
}

impl Follower {
    /// The lines completed since the last look.
    fn appended(&mut self) -> io::Result<Vec<String>> {
        let mut file = match File::open(&self.path) {
            // Between two stacks.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            opened => opened?,
        };
        if file.metadata()?.len() < self.offset {
            // The log started over.
            self.offset = 0;
            self.pending.clear();
        }
        file.seek(SeekFrom::Start(self.offset))?;
        self.offset += file.take(1 << 20).read_to_end(&mut self.pending)? as u64;
        let complete = match self.pending.iter().rposition(|&byte| byte == b'\n') {
            Some(newline) => newline + 1,
            None if self.pending.len() > MAX_LINE => self.pending.len(),
            None => 0,
        };
        let lines: Vec<u8> = self.pending.drain(..complete).collect();
        Ok(String::from_utf8_lossy(&lines).lines().map(str::to_owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_whole_lines_and_a_log_that_starts_over() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("epp.log");
        fs::write(&path, "one\ntw").unwrap();
        let mut follower = Follower { path: path.clone(), offset: 0, pending: Vec::new() };
        assert_eq!(follower.appended().unwrap(), ["one"]);
        fs::write(&path, "one\ntwo\nthree\n").unwrap();
        assert_eq!(follower.appended().unwrap(), ["two", "three"]);
        fs::write(&path, "new\n").unwrap();
        assert_eq!(follower.appended().unwrap(), ["new"]);
        fs::remove_file(&path).unwrap();
        assert!(follower.appended().unwrap().is_empty());
    }

    #[test]
    fn an_unknown_component_is_told_the_known_ones() {
        let error = chosen(Some("x".into()), vec!["epp".into(), "decode-0".into()]).unwrap_err();
        assert_eq!(error.to_string(), "no component \"x\"; there are: epp, decode-0");
    }
}
