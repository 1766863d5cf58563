//! The state folder: who owns it, and where its files are.
//!
//! The owner holds an exclusive `flock` on `lock` for as long as it lives, so a crash releases the folder and
//! a process id in a file is believed only while the lock is held.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::Stack;
use crate::args::Environment;

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither `--dir` nor a home folder.
    #[error("no home folder: name a state folder with --dir")]
    NoHome,
    /// Another `llmd up` owns it.
    #[error("llmd up already runs in {} (process {pid}): end it with `llmd down`, or choose another --dir", dir.display())]
    Busy {
        /// The folder.
        dir: PathBuf,
        /// Its owner.
        pid: u32,
    },
    /// A file or folder cannot be made, read or written.
    #[error("cannot use {}", path.display())]
    Io {
        /// What.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A state folder, owned or not.
#[derive(Debug, Clone)]
pub struct StateDir {
    root: PathBuf,
}

/// Proof of owning a [`StateDir`]; released when dropped.
#[derive(Debug)]
pub struct Ownership {
    _lock: File,
}

impl StateDir {
    /// `given`, or `$XDG_STATE_HOME/llmd`, or `~/.local/state/llmd`.
    ///
    /// # Errors
    /// [`Error::NoHome`]; [`Error::Io`] when the working directory is gone and `given` is relative.
    pub fn resolve(given: Option<PathBuf>, environment: &Environment) -> Result<Self, Error> {
        let state_home = || {
            let home = environment.home.as_ref().map(|home| home.join(".local/state"));
            environment.xdg_state_home.clone().or(home).map(|it| it.join("llmd"))
        };
        let root = given.or_else(state_home).ok_or(Error::NoHome)?;
        let root = std::path::absolute(&root).map_err(|source| Error::Io { path: root, source })?;
        Ok(Self { root })
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A file of the folder.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The log of one component.
    #[must_use]
    pub fn log_file(&self, component: &str) -> PathBuf {
        self.root.join("logs").join(format!("{component}.log"))
    }

    /// Makes the folder and takes it for this process.
    ///
    /// # Errors
    /// [`Error::Busy`] and [`Error::Io`].
    pub fn own(&self) -> Result<Ownership, Error> {
        let logs = self.root.join("logs");
        fs::create_dir_all(&logs).map_err(|source| Error::Io { path: logs, source })?;
        let path = self.file("lock");
        let io = |source| Error::Io { path: path.clone(), source };
        let mut lock = open_lock(&path).map_err(io)?;
        if !lock_exclusively(&lock).map_err(io)? {
            let pid = read_pid(&mut lock).map_err(io)?.unwrap_or_default();
            return Err(Error::Busy { dir: self.root.clone(), pid });
        }
        lock.set_len(0).map_err(io)?;
        lock.write_all(std::process::id().to_string().as_bytes()).map_err(io)?;
        // What an owner that was killed left behind describes processes that are gone.
        self.clear_state()?;
        Ok(Ownership { _lock: lock })
    }

    /// Process id of the `llmd up` that owns the folder now.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn owner(&self) -> Result<Option<u32>, Error> {
        let path = self.file("lock");
        let io = |source| Error::Io { path: path.clone(), source };
        let mut lock = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(io)?,
        };
        match flock(&lock, FlockOperation::NonBlockingLockShared) {
            Err(rustix::io::Errno::WOULDBLOCK) => read_pid(&mut lock).map_err(io),
            locked => locked.map(|()| None).map_err(|errno| io(errno.into())),
        }
    }

    /// Replaces `state.json` at once, so that no reader sees half of it.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_state(&self, stack: &Stack) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(stack).expect("strings and numbers are always JSON");
        self.write_file("state.json", &text).map(drop)
    }

    /// What `state.json` says while somebody owns the folder, else a stopped stack.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn read_state(&self) -> Result<Stack, Error> {
        if self.owner()?.is_none() {
            return Ok(Stack::stopped(self.root.clone()));
        }
        let path = self.file("state.json");
        let text = match fs::read(&path) {
            // The owner has not come to its first write.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Stack::stopped(self.root.clone()));
            }
            read => read.map_err(|source| Error::Io { path: path.clone(), source })?,
        };
        serde_json::from_slice(&text).map_err(|error| Error::Io { path, source: error.into() })
    }

    /// Forgets the state of a stack that ended.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn clear_state(&self) -> Result<(), Error> {
        let path = self.file("state.json");
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::Io { path, source: error }),
            _ => Ok(()),
        }
    }

    /// Writes a file of the folder through a rename; returns its path.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_file(&self, name: &str, content: &[u8]) -> Result<PathBuf, Error> {
        let (path, draft) = (self.file(name), self.file(&format!("{name}.new")));
        let written = fs::write(&draft, content).and_then(|()| fs::rename(&draft, &path));
        written.map_err(|source| Error::Io { path: path.clone(), source })?;
        Ok(path)
    }
}

fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)
}

/// Tries for a moment: `llmd status` holds a shared lock for the instant in which it looks.
fn lock_exclusively(lock: &File) -> io::Result<bool> {
    for _ in 0..10 {
        match flock(lock, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(Duration::from_millis(20)),
            locked => return locked.map(|()| true).map_err(io::Error::from),
        }
    }
    Ok(false)
}

fn read_pid(lock: &mut File) -> io::Result<Option<u32>> {
    let mut text = String::new();
    lock.rewind()?;
    lock.read_to_string(&mut text)?;
    Ok(text.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state_dir(root: &Path) -> StateDir {
        StateDir::resolve(Some(root.join("state")), &Environment::default()).unwrap()
    }

    #[test]
    fn one_owner_at_a_time_and_its_end_frees_the_folder() {
        let temp = tempfile::tempdir().unwrap();
        let dir = state_dir(temp.path());
        assert_eq!(dir.owner().unwrap(), None);
        let ownership = dir.own().unwrap();
        assert_eq!(dir.owner().unwrap(), Some(std::process::id()));
        let error = dir.own().unwrap_err().to_string();
        assert!(error.contains(&format!("(process {})", std::process::id())), "{error}");
        drop(ownership);
        assert_eq!(dir.owner().unwrap(), None);
        dir.own().unwrap();
    }

    #[test]
    fn state_is_believed_only_while_its_owner_lives() {
        let temp = tempfile::tempdir().unwrap();
        let dir = state_dir(temp.path());
        let ownership = dir.own().unwrap();
        let stack = Stack { pid: Some(std::process::id()), ..Stack::stopped(dir.root().to_owned()) };
        dir.write_state(&stack).unwrap();
        assert_eq!(dir.read_state().unwrap(), stack);
        drop(ownership);
        assert_eq!(dir.read_state().unwrap().pid, None);
    }

    #[test]
    fn the_default_folder_follows_the_environment() {
        let home = |xdg: Option<&str>| Environment {
            home: Some("/home/ann".into()),
            xdg_state_home: xdg.map(PathBuf::from),
            ..Environment::default()
        };
        let resolve = |given: Option<&str>, environment: &Environment| {
            StateDir::resolve(given.map(PathBuf::from), environment).map(|it| it.root)
        };
        assert_eq!(resolve(None, &home(None)).unwrap(), Path::new("/home/ann/.local/state/llmd"));
        assert_eq!(resolve(None, &home(Some("/x"))).unwrap(), Path::new("/x/llmd"));
        assert_eq!(resolve(Some("/given"), &home(Some("/x"))).unwrap(), Path::new("/given"));
        assert!(matches!(resolve(None, &Environment::default()), Err(Error::NoHome)));
    }
}
