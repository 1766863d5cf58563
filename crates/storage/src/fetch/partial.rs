//! A file that is not whole yet. It outlives the process, so that the next run continues it.

use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::AsyncSeekExt as _;

use crate::error::Error;
use crate::progress::Progress;
use crate::remote::RemoteFile;

pub(super) struct Partial {
    pub(super) path: PathBuf,
    pub(super) resumable: bool,
}

impl Partial {
    /// Beside `path`. Contents of different versions never share one.
    pub(super) fn new(path: &Path, file: &RemoteFile) -> Self {
        let version = Sha256::digest(file.version.as_deref().unwrap_or_default());
        let version: String = version[..6].iter().map(|it| format!("{it:02x}")).collect();
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{version}.partial"));
        Self { path: path.with_file_name(name), resumable: file.version.is_some() }
    }

    pub(super) async fn len(&self) -> u64 {
        fs::metadata(&self.path).await.map_or(0, |it| it.len())
    }

    /// Opens the file to go on at `offset`.
    pub(super) async fn open(&self, offset: u64) -> Result<File, Error> {
        let wrong = |source| Error::File { path: self.path.clone(), source };
        let mut options = OpenOptions::new();
        options.create(true).write(true).truncate(false);
        let mut file = options.open(&self.path).await.map_err(wrong)?;
        file.set_len(offset).await.map_err(wrong)?;
        file.seek(SeekFrom::Start(offset)).await.map_err(wrong)?;
        Ok(file)
    }

    pub(super) async fn discard(&self, progress: &Progress) {
        progress.take_back(self.len().await);
        if let Err(error) = fs::remove_file(&self.path).await {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove a wrong download");
        }
    }

    /// Gives the file the time of its content. Without it a later run downloads it again.
    pub(super) fn date(&self, modified: Option<SystemTime>) {
        let Some(modified) = modified else { return };
        let file = std::fs::File::options().write(true).open(&self.path);
        if let Err(error) = file.and_then(|it| it.set_modified(modified)) {
            tracing::debug!(path = %self.path.display(), %error, "cannot set the time of a file");
        }
    }
}
