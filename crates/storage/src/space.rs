//! Whether a download fits, before it begins: a full disk shows hours later otherwise.

use std::path::Path;

use crate::error::Error;

/// Fails when `n_bytes` more do not fit into the file system of `folder`. One that does not tell has enough.
///
/// # Errors
/// When less is free.
pub fn check(folder: &Path, n_bytes: u64) -> Result<(), Error> {
    let Some(free) = free(folder) else { return Ok(()) };
    if n_bytes > free { Err(Error::Space { path: folder.to_owned(), needed: n_bytes, free }) } else { Ok(()) }
}

/// Bytes that this process may still write there.
fn free(folder: &Path) -> Option<u64> {
    let it = rustix::fs::statvfs(folder).ok().filter(|it| it.f_blocks > 0)?;
    it.f_bavail.checked_mul(it.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        check(folder.path(), 1).unwrap();
        let error = check(folder.path(), u64::MAX).unwrap_err().to_string();
        assert!(error.contains(" MB are needed, but only "), "{error}");
    }
}
