//! One file: downloaded beside its place, resumed where it broke off, verified, then renamed.

mod partial;
mod verify;

use std::path::{Component, Path, PathBuf};

use http::header::{CONTENT_RANGE, ETAG, HeaderMap};
use http::{Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use llmd_common::report::Report;
use tokio::fs;
use tokio::io::AsyncWriteExt as _;
use url::Url;

use self::partial::Partial;
use self::verify::{Tag, is_complete, verify};
use crate::client::{Client, retry, shown, within};
use crate::error::Error;
use crate::plain;
use crate::progress::Progress;
use crate::remote::RemoteFile;

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
    let path = place(destination, Path::new(&file.path))?;
    if is_complete(file, &path).await {
        progress.found(file.size.unwrap_or(0));
        return Ok(());
    }
    let wrong = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::File { path, source }
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).await.map_err(wrong(folder))?;
    }
    let partial = Partial::new(&path, file);
    progress.found(partial.len().await);
    retry(client.limits(), async || {
        let tag = continue_download(client, file, &partial, progress).await?;
        let verdict = verify(file, &partial.path, tag).await;
        if verdict.is_err() {
            partial.discard(progress).await;
        }
        verdict
    })
    .await?;
    partial.date(file.modified);
    fs::rename(&partial.path, &path).await.map_err(wrong(&path))
}

/// Bytes of `file` that are not at its place below `destination` yet.
pub(crate) async fn n_missing(file: &RemoteFile, destination: &Path) -> u64 {
    let size = file.size.unwrap_or(0);
    let path = destination.join(&file.path);
    let there = fs::metadata(&path).await.map_or(0, |it| it.len());
    if there == size { 0 } else { size.saturating_sub(Partial::new(&path, file).len().await) }
}

/// The place of a file below the destination.
///
/// # Errors
/// When the path leads outside.
pub(crate) fn place(destination: &Path, relative: &Path) -> Result<PathBuf, Error> {
    let inside = relative.components().all(|it| matches!(it, Component::Normal(_)));
    if relative.as_os_str().is_empty() || !inside {
        return Err(Error::Outside { path: relative.to_owned() });
    }
    Ok(destination.join(relative))
}

/// Downloads what is missing. As long as each attempt brings bytes, broken connections are no failure.
async fn continue_download(
    client: &Client,
    file: &RemoteFile,
    partial: &Partial,
    progress: &Progress,
) -> Result<Tag, Error> {
    loop {
        let before = partial.len().await;
        match download(client, file, partial, progress).await {
            Err(error @ (Error::Broken { .. } | Error::Stalled { .. }))
                if partial.resumable && partial.len().await > before =>
            {
                tracing::info!(path = file.path, error = %Report(&error), "resuming");
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
) -> Result<Tag, Error> {
    let had = partial.len().await;
    let wanted = if partial.resumable { had } else { 0 };
    if wanted > 0 && Some(wanted) == file.size {
        return Ok(Tag::Checksum);
    }
    let range = (wanted > 0 && file.size.is_none_or(|it| wanted < it)).then(|| format!("bytes={wanted}-"));
    let url = file.address.url().await?;
    let response = match client.get(&url, &file.headers, range.as_deref()).await {
        Err(Error::Status { status: StatusCode::RANGE_NOT_SATISFIABLE, .. }) => {
            partial.discard(progress).await;
            client.get(&url, &file.headers, None).await?
        }
        outcome => outcome?,
    };
    if is_other_content(file, response.headers()) {
        return Err(Error::Changed { url: file.address.shown() });
    }
    let tag = Tag::of(response.headers());
    let offset = if continues_at(&response, wanted) { wanted } else { 0 };
    progress.take_back(had.saturating_sub(offset));
    store(client, &url, response.into_body(), partial, offset, progress).await?;
    Ok(tag)
}

/// Writes a body from `offset` on. What came before an error stays.
async fn store(
    client: &Client,
    url: &Url,
    mut body: Incoming,
    partial: &Partial,
    offset: u64,
    progress: &Progress,
) -> Result<(), Error> {
    let mut out = partial.open(offset).await?;
    let wrong = |source| Error::File { path: partial.path.clone(), source };
    let outcome = loop {
        match within(client.limits().stall, url, body.frame()).await {
            Err(error) => break Err(error),
            Ok(None) => break Ok(()),
            Ok(Some(Err(source))) => break Err(Error::Broken { url: shown(url), source }),
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

/// Whether the server has replaced what was listed, as far as its answer tells.
fn is_other_content(file: &RemoteFile, headers: &HeaderMap) -> bool {
    match &file.etag {
        Some(listed) => headers.get(ETAG).is_some_and(|it| it != listed.as_str()),
        None => file.modified.is_some_and(|listed| plain::modified(headers).is_some_and(|it| it != listed)),
    }
}
