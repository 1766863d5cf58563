//! One file: downloaded beside its place, resumed where it broke off, verified, then renamed.

use std::io::SeekFrom;
use std::path::{Component, Path, PathBuf};

use http::header::{CONTENT_RANGE, ETAG, HeaderMap};
use http::{Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use sha2::{Digest, Sha256};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};
use url::Url;

use crate::client::{Client, shown, within};
use crate::error::Error;
use crate::progress::Progress;

/// A file on a server.
#[derive(Debug, Clone)]
pub struct RemoteFile {
    /// Relative to the destination, with `/`.
    pub path: String,
    pub url: Url,
    pub headers: HeaderMap,
    /// In bytes.
    pub size: Option<u64>,
    /// SHA-256 of the content, in hex.
    pub sha256: Option<String>,
    /// Tells this content from others under the same name. Without it nothing is resumed.
    pub version: Option<String>,
    /// What the server calls the content, where every answer must say the same.
    pub etag: Option<String>,
}

/// Downloads `file` into the folder `destination`, unless it is there already.
///
/// # Errors
/// When the file cannot be downloaded or is not what it should be, after as many attempts as the limits allow.
pub async fn fetch(
    client: &Client,
    file: &RemoteFile,
    destination: &Path,
    progress: &Progress,
) -> Result<(), Error> {
    let path = place(destination, &file.path)?;
    if is_complete(file, &path).await {
        progress.add(file.size.unwrap_or(0));
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).await.map_err(|source| Error::File { path: folder.to_owned(), source })?;
    }
    let partial = Partial { path: partial_path(&path, file), resumable: file.version.is_some() };
    progress.add(partial.len().await);
    crate::client::retry(client.limits(), async || {
        continue_download(client, file, &partial, progress).await?;
        let verdict = verify(file, &partial.path).await;
        if verdict.is_err() {
            partial.discard(progress).await;
        }
        verdict
    })
    .await?;
    fs::rename(&partial.path, &path).await.map_err(|source| Error::File { path, source })
}

/// The file's place below the destination.
fn place(destination: &Path, path: &str) -> Result<PathBuf, Error> {
    let relative = Path::new(path);
    let inside = relative.components().all(|it| matches!(it, Component::Normal(_)));
    if path.is_empty() || !inside {
        return Err(Error::Outside { path: path.to_owned() });
    }
    Ok(destination.join(relative))
}

/// Where a file grows. Contents of different versions never share one.
fn partial_path(path: &Path, file: &RemoteFile) -> PathBuf {
    let version = Sha256::digest(file.version.as_deref().unwrap_or_default());
    let version: String = version[..6].iter().map(|it| format!("{it:02x}")).collect();
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{version}.partial"));
    path.with_file_name(name)
}

/// Whether the file is there from an earlier run.
async fn is_complete(file: &RemoteFile, path: &Path) -> bool {
    let known = file.size.is_some() && file.version.is_some();
    known && fs::metadata(path).await.is_ok() && verify(file, path).await.is_ok()
}

/// A file that is not whole yet.
struct Partial {
    path: PathBuf,
    resumable: bool,
}

impl Partial {
    async fn len(&self) -> u64 {
        fs::metadata(&self.path).await.map_or(0, |it| it.len())
    }

    /// Opens the file to go on at `offset`.
    async fn open(&self, offset: u64) -> Result<File, Error> {
        let wrong = |source| Error::File { path: self.path.clone(), source };
        let mut options = OpenOptions::new();
        options.create(true).write(true).truncate(false);
        let mut file = options.open(&self.path).await.map_err(wrong)?;
        file.set_len(offset).await.map_err(wrong)?;
        file.seek(SeekFrom::Start(offset)).await.map_err(wrong)?;
        Ok(file)
    }

    async fn discard(&self, progress: &Progress) {
        progress.take_back(self.len().await);
        if let Err(error) = fs::remove_file(&self.path).await {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove a wrong download");
        }
    }
}

/// Downloads what is missing. As long as each attempt brings bytes, broken connections are no failure.
async fn continue_download(
    client: &Client,
    file: &RemoteFile,
    partial: &Partial,
    progress: &Progress,
) -> Result<(), Error> {
    loop {
        let before = partial.len().await;
        match download(client, file, partial, progress).await {
            Err(error @ (Error::Broken { .. } | Error::Stalled { .. }))
                if partial.resumable && partial.len().await > before =>
            {
                tracing::info!(path = file.path, error = %llmd_common::report::Report(&error), "resuming");
            }
            outcome => return outcome,
        }
    }
}

/// One request and its body.
async fn download(
    client: &Client,
    file: &RemoteFile,
    partial: &Partial,
    progress: &Progress,
) -> Result<(), Error> {
    let had = partial.len().await;
    let wanted = if partial.resumable { had } else { 0 };
    if wanted > 0 && Some(wanted) == file.size {
        return Ok(());
    }
    let range = (wanted > 0 && file.size.is_none_or(|it| wanted < it)).then(|| format!("bytes={wanted}-"));
    let response = match client.get(&file.url, &file.headers, range.as_deref()).await {
        Err(Error::Status { status: StatusCode::RANGE_NOT_SATISFIABLE, .. }) => {
            partial.discard(progress).await;
            client.get(&file.url, &file.headers, None).await?
        }
        outcome => outcome?,
    };
    check_etag(file, &response)?;
    let offset = if continues_at(&response, wanted) { wanted } else { 0 };
    progress.take_back(had.saturating_sub(offset));
    let mut out = partial.open(offset).await?;
    let wrong = |source| Error::File { path: partial.path.clone(), source };
    let mut body = response.into_body();
    let outcome = loop {
        match within(client.limits().stall, &file.url, body.frame()).await {
            Err(error) => break Err(error),
            Ok(None) => break Ok(()),
            Ok(Some(Err(source))) => break Err(Error::Broken { url: shown(&file.url), source }),
            Ok(Some(Ok(frame))) => {
                let Some(data) = frame.data_ref() else { continue };
                out.write_all(data).await.map_err(wrong)?;
                progress.add(data.len() as u64);
            }
        }
    };
    out.flush().await.map_err(wrong)?;
    out.sync_all().await.map_err(wrong)?;
    outcome
}

/// Whether the answer begins where the partial file ends.
fn continues_at(response: &Response<Incoming>, offset: u64) -> bool {
    let range = response.headers().get(CONTENT_RANGE).and_then(|it| it.to_str().ok());
    let start = range.and_then(|it| it.strip_prefix("bytes ")?.split('-').next()?.parse::<u64>().ok());
    response.status() == StatusCode::PARTIAL_CONTENT && start == Some(offset)
}

/// Whether the server still has the content that was listed.
fn check_etag(file: &RemoteFile, response: &Response<Incoming>) -> Result<(), Error> {
    let Some(expected) = &file.etag else { return Ok(()) };
    let got = response.headers().get(ETAG).and_then(|it| it.to_str().ok());
    match got {
        Some(got) if got != expected => Err(Error::Changed { url: shown(&file.url) }),
        _ => Ok(()),
    }
}

/// Whether the file on disk is the one on the server.
async fn verify(file: &RemoteFile, path: &Path) -> Result<(), Error> {
    let wrong = |source| Error::File { path: path.to_owned(), source };
    let got = fs::metadata(path).await.map_err(wrong)?.len();
    if let Some(expected) = file.size.filter(|&it| it != got) {
        return Err(Error::Size { url: shown(&file.url), expected, got });
    }
    let Some(expected) = file.sha256.clone() else { return Ok(()) };
    let on_disk = path.to_owned();
    let hashing = tokio::task::spawn_blocking(move || sha256(&on_disk));
    let got = hashing.await.expect("hashing does not panic").map_err(wrong)?;
    if got == expected {
        return Ok(());
    }
    Err(Error::Digest { url: shown(&file.url), expected, got })
}

fn sha256(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut file = std::fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => hasher.update(&buffer[..n]),
        }
    }
    Ok(hasher.finalize().iter().map(|it| format!("{it:02x}")).collect())
}
