//! The mark that an archive's content is in the destination: a small hidden file with the archive's version, since
//! the archive itself is removed.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::remote::RemoteFile;

/// The mark of one archive.
#[derive(Debug)]
pub struct Unpacked {
    path: PathBuf,
    /// `None` = the server names no version, so nothing is ever known to be there.
    version: Option<String>,
}

impl Unpacked {
    /// The mark of `archive` in the folder `destination`.
    #[must_use]
    pub fn of(archive: &RemoteFile, destination: &Path) -> Self {
        Self {
            path: destination.join(format!(".{}.unpacked", archive.path)),
            version: archive.version.clone(),
        }
    }

    /// Whether this version was unpacked.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.version.is_some() && fs::read_to_string(&self.path).ok() == self.version
    }

    /// Remembers this version.
    ///
    /// # Errors
    /// When the mark cannot be written.
    pub fn set_done(&self) -> Result<(), Error> {
        let Some(version) = &self.version else { return Ok(()) };
        fs::write(&self.path, version).map_err(|source| Error::File { path: self.path.clone(), source })
    }
}
