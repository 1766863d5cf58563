//! One file of a web server.

use std::time::SystemTime;

use http::header::{CONTENT_LENGTH, ETAG, HeaderMap, LAST_MODIFIED};
use url::Url;

use crate::client::{Client, retry};
use crate::error::Error;
use crate::remote::{Address, RemoteFile};

/// The file at `url`, which keeps its name. What is known of it comes from the head of an answer whose body is not
/// read: many servers answer GET alone.
///
/// # Errors
/// When the server does not answer, or not with a file.
pub async fn file(client: &Client, url: &Url, headers: &HeaderMap) -> Result<RemoteFile, Error> {
    let response = retry(client.limits(), async || client.get(url, headers, None).await).await?;
    let text = |name| response.headers().get(name).and_then(|it| it.to_str().ok());
    let size = text(CONTENT_LENGTH).and_then(|it| it.parse().ok());
    let etag = text(ETAG).map(str::to_owned);
    let modified = modified(response.headers());
    Ok(RemoteFile {
        path: url.path_segments().and_then(|mut it| it.next_back()).unwrap_or_default().to_owned(),
        address: Address::Url(url.clone()),
        headers: headers.clone(),
        size,
        checksum: None,
        version: version(etag.as_deref(), modified),
        etag,
        modified,
    })
}

/// When the content of an answer was last changed.
pub(crate) fn modified(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(LAST_MODIFIED)?.to_str().ok()?).ok()
}

/// A weak `ETag` may stay when bytes change.
fn version(etag: Option<&str>, modified: Option<SystemTime>) -> Option<String> {
    let strong = etag.filter(|it| !it.starts_with("W/")).map(str::to_owned);
    strong.or_else(|| modified.map(httpdate::fmt_http_date))
}
