//! Whether a file on disk is the one on the server.

use std::path::Path;
use std::time::SystemTime;

use http::header::HeaderMap;
use tokio::fs;

use crate::checksum::Checksum;
use crate::error::Error;
use crate::remote::RemoteFile;

/// Header of S3: how an object is encrypted. Only with the server's own key does its `ETag` stay an MD5.
const ENCRYPTION: &str = "x-amz-server-side-encryption";
/// Header of S3: the object is encrypted by a key of the one who asks.
const CUSTOMER_ENCRYPTION: &str = "x-amz-server-side-encryption-customer-algorithm";

/// What an `ETag` of S3 that looks like an MD5 is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    /// An MD5, as far as is known.
    Checksum,
    /// A name without meaning.
    Opaque,
}

impl Tag {
    /// What an answer with these headers says.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let foreign_key = headers.get(ENCRYPTION).is_some_and(|it| it != "AES256");
        if foreign_key || headers.contains_key(CUSTOMER_ENCRYPTION) { Self::Opaque } else { Self::Checksum }
    }
}

/// Whether the file is there from an earlier run: with the size and the time that the server says, otherwise with
/// its checksum.
pub(super) async fn is_complete(file: &RemoteFile, path: &Path) -> bool {
    let Ok(found) = fs::metadata(path).await else { return false };
    if !found.is_file() || file.size != Some(found.len()) {
        return false;
    }
    let same_time = |listed| found.modified().is_ok_and(|it| seconds(it) == seconds(listed));
    file.modified.is_some_and(same_time)
        || (file.checksum.is_some() && verify(file, path, Tag::Checksum).await.is_ok())
}

/// Checks size and checksum.
pub(super) async fn verify(file: &RemoteFile, path: &Path, tag: Tag) -> Result<(), Error> {
    let wrong = |source| Error::File { path: path.to_owned(), source };
    let got = fs::metadata(path).await.map_err(wrong)?.len();
    if let Some(expected) = file.size.filter(|&it| it != got) {
        return Err(Error::Size { url: file.address.shown(), expected, got });
    }
    let Some(expected) = file.checksum.clone() else { return Ok(()) };
    if tag == Tag::Opaque && matches!(expected, Checksum::Md5(_)) {
        return Ok(());
    }
    let (on_disk, wanted) = (path.to_owned(), expected.clone());
    let hashing = tokio::task::spawn_blocking(move || wanted.mismatch(&on_disk));
    match hashing.await.expect("hashing does not panic").map_err(wrong)? {
        None => Ok(()),
        Some(got) => Err(Error::Digest { url: file.address.shown(), expected, got }),
    }
}

/// File systems keep fractions of seconds differently.
fn seconds(time: SystemTime) -> Option<u64> {
    time.duration_since(SystemTime::UNIX_EPOCH).ok().map(|it| it.as_secs())
}
