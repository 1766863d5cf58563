//! One run at a time for a destination: two would write into each other's files.
//!
//! The folder itself is locked (`flock`), so nothing is left behind, whatever becomes of the process. File systems
//! that lock no folders, such as NFS, give no such protection.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use crate::error::Error;

/// Between two looks at a lock that another run has.
const INTERVAL: Duration = Duration::from_millis(500);

/// Held as long as this lives.
#[derive(Debug)]
pub struct Lock {
    _folder: File,
}

/// Creates the folder, and waits until no other run is at work there.
///
/// # Errors
/// When the folder cannot be created or opened.
pub async fn lock(folder: &Path) -> Result<Lock, Error> {
    let wrong = |source| Error::File { path: folder.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(wrong)?;
    let file = File::open(folder).map_err(wrong)?;
    let mut waiting = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Lock { _folder: file }),
            Err(TryLockError::WouldBlock) => {
                if !std::mem::replace(&mut waiting, true) {
                    tracing::info!(destination = %folder.display(), "waiting for another run at this destination");
                }
                tokio::time::sleep(INTERVAL).await;
            }
            Err(TryLockError::Error(error)) => {
                tracing::warn!(destination = %folder.display(), %error, "cannot keep other runs away");
                return Ok(Lock { _folder: file });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_run_waits_for_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let first = lock(folder.path()).await.unwrap();
        let waiting = tokio::time::timeout(Duration::from_millis(50), lock(folder.path())).await;
        assert!(waiting.is_err(), "two runs at work");
        drop(first);
        lock(folder.path()).await.unwrap();
    }
}
