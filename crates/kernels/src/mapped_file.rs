//! Read-only memory-mapped files, behind a safe interface.
#![expect(unsafe_code, reason = "mapping a file")]

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::Path;

use memmap2::{Advice, Mmap};

/// A whole file as bytes. Nothing is read before it is looked at.
#[derive(Debug)]
pub struct MappedFile {
    map: Mmap,
}

impl MappedFile {
    /// Maps the file at `path`, which must not be changed or truncated while it is mapped: weights are
    /// replaced by renaming a new file over the old one, as download tools do.
    ///
    /// # Errors
    /// When it cannot be opened or mapped.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: the map is private to this value and read-only. That nobody changes the file under it cannot
        // be proven, only demanded (see above): a changed byte reads as the changed byte, since no reader
        // relies on reading the same value twice, and a truncated file ends the process with SIGBUS.
        let map = unsafe { Mmap::map(&file)? };
        // Only advice: reading works the same without it.
        let _ = map.advise(Advice::Sequential);
        Ok(Self { map })
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn shows_the_file() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"weights").unwrap();
        assert_eq!(&*MappedFile::open(file.path()).unwrap(), b"weights");
    }

    #[test]
    fn an_empty_file_is_no_error_and_a_missing_one_is() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(MappedFile::open(file.path()).unwrap().is_empty());
        assert!(MappedFile::open(&file.path().join("missing")).is_err());
    }
}
