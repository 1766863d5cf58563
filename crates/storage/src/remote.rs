//! What is known of a file on a server before it is downloaded.

use std::time::SystemTime;

use http::header::HeaderMap;
use url::Url;

use crate::checksum::Checksum;
use crate::client::shown;
use crate::error::Error;
use crate::s3::Object;

/// A file on a server.
#[derive(Debug, Clone)]
pub struct RemoteFile {
    /// Relative to the destination, with `/`.
    pub path: String,
    pub address: Address,
    pub headers: HeaderMap,
    /// In bytes.
    pub size: Option<u64>,
    pub checksum: Option<Checksum>,
    /// Tells this content from others under the same name. Without it nothing is resumed.
    pub version: Option<String>,
    /// What the server calls the content, where every answer must say the same.
    pub etag: Option<String>,
    /// When the content was last changed. The file on disk gets this time, by which a later run knows it.
    pub modified: Option<SystemTime>,
}

/// Where a file is asked for.
#[derive(Debug, Clone)]
pub enum Address {
    Url(Url),
    /// Signed for each request, since signatures and sessions expire.
    Object(Object),
}

impl Address {
    /// The URL of the next request.
    ///
    /// # Errors
    /// When there are no credentials to sign it with.
    pub async fn url(&self) -> Result<Url, Error> {
        match self {
            Self::Url(url) => Ok(url.clone()),
            Self::Object(object) => object.signed().await,
        }
    }

    /// For people.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Url(url) => shown(url),
            Self::Object(object) => object.to_string(),
        }
    }
}
