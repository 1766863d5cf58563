//! Buckets of S3 and of servers that speak its API. Requests are signed in their URLs (Signature Version 4).

use std::time::Duration;

use http::header::HeaderMap;
use rusty_s3::actions::ListObjectsV2;
use rusty_s3::{Bucket, Credentials, S3Action as _, UrlStyle};

use crate::client::{Client, answer};
use crate::config::{S3Config, S3Keys};
use crate::error::Error;
use crate::fetch::RemoteFile;

/// How long signatures are valid: the longest download.
const VALIDITY: Duration = Duration::from_secs(12 * 60 * 60);

/// The objects below `prefix`, or the object of that key.
///
/// # Errors
/// When the server does not answer, or not with a listing.
pub async fn list(
    client: &Client,
    config: &S3Config,
    bucket: &str,
    prefix: &str,
) -> Result<Vec<RemoteFile>, Error> {
    let style = if config.virtual_host { UrlStyle::VirtualHost } else { UrlStyle::Path };
    let bucket = Bucket::new(config.endpoint.clone(), style, bucket.to_owned(), config.region.clone())?;
    let credentials = config.keys.as_ref().map(credentials);
    let mut files = Vec::new();
    let mut token: Option<String> = None;
    loop {
        let mut action = bucket.list_objects_v2(credentials.as_ref());
        action.with_prefix(prefix);
        if let Some(token) = &token {
            action.with_continuation_token(token.as_str());
        }
        let url = action.sign(VALIDITY);
        let (_, body) = client.get_text(&url, &HeaderMap::new()).await?;
        let text = std::str::from_utf8(&body).map_err(|it| answer(&url, it))?;
        let page = ListObjectsV2::parse_response(text).map_err(|it| answer(&url, it))?;
        for object in page.contents {
            let Some(path) = relative(&object.key, prefix) else { continue };
            files.push(RemoteFile {
                path: path.to_owned(),
                url: bucket.get_object(credentials.as_ref(), &object.key).sign(VALIDITY),
                headers: HeaderMap::new(),
                size: object.size,
                sha256: None,
                version: object.etag.clone(),
                etag: object.etag,
            });
        }
        token = page.next_continuation_token;
        if token.is_none() {
            return Ok(files);
        }
    }
}

fn credentials(keys: &S3Keys) -> Credentials {
    match &keys.session_token {
        Some(token) => Credentials::new_with_token(keys.id.clone(), keys.secret.clone(), token.clone()),
        None => Credentials::new(keys.id.clone(), keys.secret.clone()),
    }
}

/// Where an object goes: below the prefix as a folder, or the last part of the key that is the prefix. Folders are
/// objects too for some tools; they hold nothing.
fn relative<'a>(key: &'a str, prefix: &str) -> Option<&'a str> {
    if key.ends_with('/') {
        return None;
    }
    if prefix.is_empty() {
        return Some(key);
    }
    match key.strip_prefix(prefix)? {
        "" => key.rsplit('/').next(),
        rest => rest.strip_prefix('/'),
    }
}
