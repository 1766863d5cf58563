//! What the content of a file must hash to, as far as its server says so.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// Size of the pieces that files are read in.
const BUFFER: usize = 1 << 20;

/// A hash in lower-case hex, by what it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checksum {
    /// SHA-256 of the content: large files of the hub.
    Sha256(String),
    /// SHA-1 of git's header and the content: every other file of the hub.
    GitBlob(String),
    /// MD5 of the content: the `ETag` of an S3 object that came in one part and is not encrypted by a key of its own.
    Md5(String),
}

impl Checksum {
    /// The checksum that git's name of a blob is, if it is one.
    #[must_use]
    pub fn of_git(oid: &str) -> Option<Self> {
        is_hex(oid, 40).then(|| Self::GitBlob(oid.to_ascii_lowercase()))
    }

    /// The checksum that an `ETag` of S3 is, if it is one. Objects of several parts have a dash in theirs.
    #[must_use]
    pub fn of_etag(etag: &str) -> Option<Self> {
        let etag = etag.trim_matches('"');
        is_hex(etag, 32).then(|| Self::Md5(etag.to_ascii_lowercase()))
    }

    /// What the file at `path` has instead; `None` = this.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn mismatch(&self, path: &Path) -> io::Result<Option<Self>> {
        let got = match self {
            Self::Sha256(_) => Self::Sha256(hash(path, Sha256::new())?),
            Self::GitBlob(_) => {
                let size = std::fs::metadata(path)?.len();
                Self::GitBlob(hash(path, Sha1::new().chain_update(format!("blob {size}\0")))?)
            }
            Self::Md5(_) => Self::Md5(hash(path, Md5::new())?),
        };
        Ok((got != *self).then_some(got))
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(it) => write!(f, "SHA-256 {it}"),
            Self::GitBlob(it) => write!(f, "git blob {it}"),
            Self::Md5(it) => write!(f, "MD5 {it}"),
        }
    }
}

fn is_hex(text: &str, n_digits: usize) -> bool {
    text.len() == n_digits && text.bytes().all(|it| it.is_ascii_hexdigit())
}

fn hash(path: &Path, mut hasher: impl Digest) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; BUFFER];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => hasher.update(&buffer[..n]),
        }
    }
    Ok(hasher.finalize().iter().map(|it| format!("{it:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_computed_as_its_server_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hello");
        std::fs::write(&path, "hello\n").unwrap();
        for good in [
            Checksum::of_git("ce013625030ba8dba906f756967f9e9ca394464a").unwrap(),
            Checksum::of_etag("\"B1946AC92492D2347C6235B4D2611184\"").unwrap(),
            Checksum::Sha256("5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03".into()),
        ] {
            assert_eq!(good.mismatch(&path).unwrap(), None, "{good}");
        }
        let wrong = Checksum::Md5("0".repeat(32));
        let got = wrong.mismatch(&path).unwrap().unwrap();
        assert_eq!(got.to_string(), "MD5 b1946ac92492d2347c6235b4d2611184");
    }

    #[test]
    fn names_that_are_no_hash_are_none() {
        assert_eq!(Checksum::of_etag("\"b1946ac92492d2347c6235b4d2611184-2\""), None);
        assert_eq!(Checksum::of_etag("\"etag\""), None);
        assert_eq!(Checksum::of_git("main"), None);
    }
}
