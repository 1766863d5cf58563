//! Archives of a web server: unpacked into the destination. Entries that are neither files nor folders, or that
//! would lie outside, are refused, whatever stands behind them.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tar::EntryType;

use crate::error::Error;
use crate::fetch::place;

/// Ends of names of archives that are not unpacked.
const REFUSED: [&str; 6] = [".zip", ".tar.bz2", ".tar.xz", ".tar.zst", ".7z", ".rar"];

/// How an archive is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Archive {
    Tar,
    TarGz,
}

impl Archive {
    /// By the file's name; `None` = no archive.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        if name.ends_with(".tar.gz") || name.ends_with(".tgz") {
            Some(Self::TarGz)
        } else {
            name.ends_with(".tar").then_some(Self::Tar)
        }
    }

    /// Whether the name is one of an archive that cannot be unpacked.
    #[must_use]
    pub fn is_refused(name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        REFUSED.iter().any(|it| name.ends_with(it))
    }

    /// Unpacks `path` into the folder `destination`. Returns the number of files.
    ///
    /// # Errors
    /// When the archive is damaged, or something in it is refused or cannot be written.
    pub fn unpack(self, path: &Path, destination: &Path) -> Result<usize, Error> {
        let damaged = |source| Error::Archive { path: path.to_owned(), source };
        let file = File::open(path).map_err(damaged)?;
        let reader: Box<dyn Read> = match self {
            Self::Tar => Box::new(io::BufReader::new(file)),
            Self::TarGz => Box::new(MultiGzDecoder::new(file)),
        };
        let mut archive = tar::Archive::new(reader);
        let mut n_files = 0;
        for entry in archive.entries().map_err(damaged)? {
            let mut entry = entry.map_err(damaged)?;
            let name = entry.path().map_err(damaged)?.into_owned();
            let inside: PathBuf = name.components().filter(|it| *it != Component::CurDir).collect();
            match entry.header().entry_type() {
                EntryType::XGlobalHeader => {}
                EntryType::Directory if inside.as_os_str().is_empty() => {}
                EntryType::Directory => create_folder(&place(destination, &inside)?)?,
                EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                    let target = place(destination, &inside)?;
                    target.parent().map_or(Ok(()), create_folder)?;
                    write(&mut entry, &target).map_err(|source| Error::File { path: target, source })?;
                    n_files += 1;
                }
                _ => return Err(Error::Entry { archive: path.to_owned(), entry: name }),
            }
        }
        Ok(n_files)
    }
}

fn create_folder(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(|source| Error::File { path: path.to_owned(), source })
}

fn write(content: &mut impl Read, path: &Path) -> io::Result<()> {
    let mut file = File::create(path)?;
    io::copy(content, &mut file)?;
    file.sync_all()
}
