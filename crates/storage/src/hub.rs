//! Repositories of the Hugging Face hub, or of a server that speaks its API.
//!
//! The revision is resolved to a commit first, so that a push in the meantime mixes nothing.
//! API: <https://huggingface.co/docs/hub/api>.

use http::header::{AUTHORIZATION, HeaderMap, LINK};
use serde::Deserialize;
use url::Url;

use crate::checksum::Checksum;
use crate::client::{Client, answer};
use crate::config::HubConfig;
use crate::error::Error;
use crate::remote::{Address, RemoteFile};

/// A revision of a repository.
#[derive(Debug, Deserialize)]
struct Revision {
    /// The commit.
    sha: String,
}

/// An entry of a commit's tree.
#[derive(Debug, Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    size: u64,
    /// Git's name of the content.
    oid: String,
    #[serde(default)]
    lfs: Option<Lfs>,
}

/// A large file, which the tree has only a pointer to.
#[derive(Debug, Deserialize)]
struct Lfs {
    /// SHA-256 of the content.
    oid: String,
    size: u64,
}

/// The files of `repository` at `revision`.
///
/// # Errors
/// When the hub does not answer, or not with a listing.
pub async fn list(
    client: &Client,
    config: &HubConfig,
    repository: &str,
    revision: &str,
) -> Result<Vec<RemoteFile>, Error> {
    let headers = headers(config);
    let api = ["api", "models"].into_iter().chain(repository.split('/')).collect::<Vec<_>>();
    let url = below(&config.endpoint, &[&api[..], &["revision", revision]].concat())?;
    let (_, body) = client.get_text(&url, &headers).await?;
    let Revision { sha } = serde_json::from_slice(&body).map_err(|it| answer(&url, it))?;
    let mut next = Some(below(&config.endpoint, &[&api[..], &["tree", &sha]].concat())?);
    next.iter_mut().for_each(|it| it.set_query(Some("recursive=true")));
    let mut files = Vec::new();
    while let Some(url) = next {
        let (answered, body) = client.get_text(&url, &headers).await?;
        let entries: Vec<Entry> = serde_json::from_slice(&body).map_err(|it| answer(&url, it))?;
        for entry in entries.into_iter().filter(|it| it.kind == "file") {
            files.push(file(config, repository, &sha, entry, &headers)?);
        }
        next = next_page(&url, &answered);
    }
    Ok(files)
}

fn file(
    config: &HubConfig,
    repository: &str,
    commit: &str,
    entry: Entry,
    headers: &HeaderMap,
) -> Result<RemoteFile, Error> {
    let segments = repository.split('/').chain(["resolve", commit]).chain(entry.path.split('/'));
    let url = below(&config.endpoint, &segments.collect::<Vec<_>>())?;
    let (size, checksum) = match entry.lfs {
        Some(lfs) => (lfs.size, Some(Checksum::Sha256(lfs.oid.to_ascii_lowercase()))),
        None => (entry.size, Checksum::of_git(&entry.oid)),
    };
    Ok(RemoteFile {
        path: entry.path,
        address: Address::Url(url),
        headers: headers.clone(),
        size: Some(size),
        checksum,
        version: Some(entry.oid),
        etag: None,
        modified: None,
    })
}

/// The endpoint's URL with these segments behind its own path, encoded.
fn below(endpoint: &Url, segments: &[&str]) -> Result<Url, Error> {
    let mut url = endpoint.clone();
    url.path_segments_mut()
        .map_err(|()| answer(endpoint, "the endpoint cannot have paths"))?
        .pop_if_empty()
        .extend(segments);
    Ok(url)
}

fn headers(config: &HubConfig) -> HeaderMap {
    config.authorization.iter().map(|it| (AUTHORIZATION, it.clone())).collect()
}

/// The next page, on the same server.
fn next_page(url: &Url, headers: &HeaderMap) -> Option<Url> {
    let link = headers.get(LINK)?.to_str().ok()?;
    let next = link.split(',').find(|it| it.contains("rel=\"next\""))?;
    let target = next.split_once('<')?.1.split_once('>')?.0;
    url.join(target).ok().filter(|it| it.origin() == url.origin())
}
