//! Buckets of S3 and of servers that speak its API. Requests are signed in their URLs (Signature Version 4), each
//! when it is made.

mod session;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::HeaderMap;
use rusty_s3::actions::ListObjectsV2;
use rusty_s3::{Bucket, Credentials, S3Action as _, UrlStyle};
use tokio::sync::Mutex;
use url::Url;

use self::session::Session;
use crate::checksum::Checksum;
use crate::client::{Client, answer};
use crate::config::{S3Access, S3Config, S3Keys};
use crate::error::Error;
use crate::remote::{Address, RemoteFile};

/// How long a signature is valid. It is used at once; what a server sends afterwards may take longer.
const VALIDITY: Duration = Duration::from_secs(60 * 60);

/// A bucket, and who asks it.
#[derive(Debug)]
struct Account {
    bucket: Bucket,
    access: S3Access,
    client: Client,
    /// The last session of a role.
    session: Mutex<Option<Session>>,
}

/// An object of a bucket.
#[derive(Debug, Clone)]
pub struct Object {
    account: Arc<Account>,
    key: String,
}

/// The objects below `prefix`, or the object of that key.
///
/// # Errors
/// When there are no credentials, or the server does not answer, or not with a listing.
pub async fn list(
    client: &Client,
    config: &S3Config,
    bucket: &str,
    prefix: &str,
) -> Result<Vec<RemoteFile>, Error> {
    let account = Arc::new(Account::new(client, config, bucket)?);
    let mut files = Vec::new();
    let mut token: Option<String> = None;
    loop {
        let url = account.listing(prefix, token.as_deref()).await?;
        let (_, body) = client.get_text(&url, &HeaderMap::new()).await?;
        let text = std::str::from_utf8(&body).map_err(|it| answer(&url, it))?;
        let page = ListObjectsV2::parse_response(text).map_err(|it| answer(&url, it))?;
        for object in page.contents {
            let Some(path) = relative(&object.key, prefix).map(str::to_owned) else { continue };
            files.push(RemoteFile {
                path,
                address: Address::Object(Object { account: Arc::clone(&account), key: object.key }),
                headers: HeaderMap::new(),
                size: object.size,
                checksum: object.etag.as_deref().and_then(Checksum::of_etag),
                version: object.etag.clone(),
                etag: object.etag,
                modified: object.last_modified.as_deref().and_then(time),
            });
        }
        token = page.next_continuation_token;
        if token.is_none() {
            return Ok(files);
        }
    }
}

impl Account {
    fn new(client: &Client, config: &S3Config, bucket: &str) -> Result<Self, Error> {
        let style = if config.virtual_host { UrlStyle::VirtualHost } else { UrlStyle::Path };
        let bucket = Bucket::new(config.endpoint.clone(), style, bucket.to_owned(), config.region.clone())?;
        let (access, client) = (config.access.clone(), client.clone());
        Ok(Self { bucket, access, client, session: Mutex::new(None) })
    }

    async fn listing(&self, prefix: &str, token: Option<&str>) -> Result<Url, Error> {
        let credentials = self.credentials().await?;
        let mut action = self.bucket.list_objects_v2(credentials.as_ref());
        action.with_prefix(prefix);
        if let Some(token) = token {
            action.with_continuation_token(token);
        }
        Ok(action.sign(VALIDITY))
    }

    /// What to sign with now; `None` = nothing.
    async fn credentials(&self) -> Result<Option<Credentials>, Error> {
        let identity = match &self.access {
            S3Access::Anonymous => return Ok(None),
            S3Access::Keys(keys) => return Ok(Some(credentials(keys))),
            S3Access::WebIdentity(identity) => identity,
        };
        let mut last = self.session.lock().await;
        let session = match last.take().filter(|it| it.lasts(SystemTime::now())) {
            Some(session) => session,
            None => session::begin(&self.client, identity).await?,
        };
        Ok(Some(credentials(&last.insert(session).keys)))
    }
}

impl Object {
    /// Where to ask for the object now.
    ///
    /// # Errors
    /// When there are no credentials.
    pub async fn signed(&self) -> Result<Url, Error> {
        let credentials = self.account.credentials().await?;
        Ok(self.account.bucket.get_object(credentials.as_ref(), &self.key).sign(VALIDITY))
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.account.bucket.object_url(&self.key).fmt(f)
    }
}

fn credentials(keys: &S3Keys) -> Credentials {
    match &keys.session_token {
        Some(token) => Credentials::new_with_token(keys.id.clone(), keys.secret.clone(), token.clone()),
        None => Credentials::new(keys.id.clone(), keys.secret.clone()),
    }
}

/// A time as S3 writes it in XML.
fn time(text: &str) -> Option<SystemTime> {
    text.parse::<jiff::Timestamp>().ok().map(SystemTime::from)
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
