//! The log of one component: everything it printed since `llmd up` began, with a bound.
//!
//! Components append to the file themselves, so that the last words of one that crashes are never lost in a
//! pipe. Past [`MAX_BYTES`] the content moves to `NAME.log.1` and the file starts over.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Size at which a log starts over. With its predecessor a component keeps at most twice this.
const MAX_BYTES: u64 = 32 << 20;
/// How far from its end a log is read for its last lines.
const MAX_TAIL_BYTES: u64 = 256 << 10;

/// The log of one component.
#[derive(Debug, Clone)]
pub struct LogFile {
    path: PathBuf,
}

impl LogFile {
    /// An empty log; what an earlier stack left goes to the predecessor.
    ///
    /// # Errors
    /// When the folder is not there or not writable.
    pub fn create(path: PathBuf) -> io::Result<Self> {
        if fs::metadata(&path).is_ok_and(|it| it.len() > 0) {
            fs::rename(&path, predecessor(&path))?;
        }
        File::create(&path)?;
        Ok(Self { path })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the next line will begin, in bytes.
    #[must_use]
    pub fn end(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |it| it.len())
    }

    /// A handle for a process to write to.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open_for_append(&self) -> io::Result<File> {
        // Append mode makes every write go to the end, also after `rotate` cut the file under the writer.
        OpenOptions::new().create(true).append(true).open(&self.path)
    }

    /// Starts over when the file is large. A line written in between may be lost.
    ///
    /// # Errors
    /// When the file cannot be copied or cut.
    pub fn rotate_if_large(&self) -> io::Result<()> {
        if fs::metadata(&self.path)?.len() > MAX_BYTES {
            fs::copy(&self.path, predecessor(&self.path))?;
            OpenOptions::new().write(true).open(&self.path)?.set_len(0)?;
        }
        Ok(())
    }
}

fn predecessor(path: &Path) -> PathBuf {
    path.with_extension("log.1")
}

/// The last `n_lines` of what a log holds from byte `from` on, and where they end.
///
/// # Errors
/// When the file cannot be read.
pub fn tail(path: &Path, from: u64, n_lines: usize) -> io::Result<(Vec<String>, u64)> {
    let mut file = File::open(path)?;
    let end = file.metadata()?.len();
    // A log that ends before `from` has started over since.
    let from = if from > end { 0 } else { from };
    let start = end.saturating_sub(MAX_TAIL_BYTES).max(from);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(end - start).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut lines: Vec<&str> = text.lines().collect();
    if start > from && !lines.is_empty() {
        // The first line is probably cut.
        lines.remove(0);
    }
    let first = lines.len().saturating_sub(n_lines);
    Ok((lines[first..].iter().map(|&line| line.to_owned()).collect(), end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn keeps_the_log_of_the_stack_before() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("epp.log");
        let first = LogFile::create(path.clone()).unwrap();
        writeln!(first.open_for_append().unwrap(), "old").unwrap();
        let second = LogFile::create(path).unwrap();
        assert_eq!(fs::read_to_string(temp.path().join("epp.log.1")).unwrap(), "old\n");
        assert_eq!(fs::read_to_string(second.path()).unwrap(), "");
    }

    #[test]
    fn a_large_log_starts_over_under_its_writer() {
        let temp = tempfile::tempdir().unwrap();
        let log = LogFile::create(temp.path().join("epp.log")).unwrap();
        let mut writer = log.open_for_append().unwrap();
        writer.write_all(b"small\n").unwrap();
        log.rotate_if_large().unwrap();
        assert_eq!(fs::metadata(log.path()).unwrap().len(), 6);
        writer.set_len(MAX_BYTES + 1).unwrap();
        log.rotate_if_large().unwrap();
        writer.write_all(b"after\n").unwrap();
        assert_eq!(tail(log.path(), 0, 5).unwrap(), (vec!["after".to_owned()], 6));
    }

    #[test]
    fn the_tail_is_whole_lines() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("x.log");
        fs::write(&path, "a\nb\nc\n").unwrap();
        assert_eq!(tail(&path, 0, 2).unwrap(), (vec!["b".to_owned(), "c".to_owned()], 6));
        assert_eq!(tail(&path, 0, 9).unwrap().0.len(), 3);
        assert_eq!(tail(&path, 4, 9).unwrap().0, ["c"]);
        assert_eq!(tail(&path, 99, 9).unwrap().0.len(), 3);
        fs::write(&path, "x".repeat(300 << 10) + "\nend\n").unwrap();
        assert_eq!(tail(&path, 0, 9).unwrap().0, ["end"]);
    }
}
