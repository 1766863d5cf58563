//! One file of a web server.

use std::collections::BTreeMap;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::client::answer;
use crate::error::Error;
use crate::fetch::RemoteFile;

/// The file at `url`, which keeps its name. Nothing is known of it, so an interrupted download starts over.
///
/// # Errors
/// When a header is no header, or the URL names no file.
pub fn file(url: &Url, headers: &BTreeMap<String, String>) -> Result<RemoteFile, Error> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name = HeaderName::try_from(name).map_err(|it| answer(url, it))?;
        map.insert(name, HeaderValue::try_from(value).map_err(|it| answer(url, it))?);
    }
    let name = url.path_segments().and_then(|mut it| it.next_back()).unwrap_or_default();
    Ok(RemoteFile {
        path: name.to_owned(),
        url: url.clone(),
        headers: map,
        size: None,
        sha256: None,
        version: None,
        etag: None,
    })
}
