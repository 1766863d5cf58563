//! HTTP client of the commands: one request, one deadline for the head, bodies streamed.
//!
//! Plain HTTP needs nothing; the certificates of the system are read only for an `https` URL.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

/// Largest body [`Client::get`] and [`read_body`] keep in memory, in bytes.
const MAX_BODY: usize = 4 << 20;

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is no URL of a kind this client speaks.
    #[error("{0:?} is not an http:// or https:// URL")]
    Url(String),
    /// The system has no root certificates.
    #[error("https needs the root certificates of the system (package ca-certificates)")]
    Roots(#[source] io::Error),
    /// A header or the method was malformed.
    #[error("cannot build the request")]
    Request(#[from] http::Error),
    /// No connection, or it broke before the response head.
    #[error("no answer from {url}")]
    Connect {
        /// Where to.
        url: String,
        /// The cause.
        #[source]
        source: legacy::Error,
    },
    /// The response head took too long.
    #[error("no answer from {url} within {} s", after.as_secs_f64())]
    Timeout {
        /// Where to.
        url: String,
        /// The deadline.
        after: Duration,
    },
    /// The body broke off or is larger than this client keeps.
    #[error("the response broke off")]
    Body(#[source] Box<dyn StdError + Send + Sync>),
}

/// A connection pool for one scheme. Clones share it.
#[derive(Debug, Clone)]
pub struct Client {
    transport: Transport,
    head_timeout: Duration,
}

#[derive(Debug, Clone)]
enum Transport {
    Plain(legacy::Client<HttpConnector, Full<Bytes>>),
    Tls(legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

impl Client {
    /// A client for URLs that start like `base`; a response head must arrive within `head_timeout`.
    ///
    /// # Errors
    /// [`Error::Url`] for another scheme than http and https, [`Error::Roots`] when https cannot be checked.
    pub fn for_base(base: &str, head_timeout: Duration) -> Result<Self, Error> {
        let uri: Uri = base.parse().map_err(|_| Error::Url(base.to_owned()))?;
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.set_connect_timeout(Some(head_timeout.min(Duration::from_secs(10))));
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new());
        let transport = match uri.scheme_str() {
            Some("http") => Transport::Plain(builder.build(http)),
            Some("https") => {
                http.enforce_http(false);
                let tls = HttpsConnectorBuilder::new().with_native_roots().map_err(Error::Roots)?;
                Transport::Tls(builder.build(tls.https_or_http().enable_http1().wrap_connector(http)))
            }
            _ => return Err(Error::Url(base.to_owned())),
        };
        Ok(Self { transport, head_timeout })
    }

    /// Sends `request`; returns when the response head is there.
    ///
    /// # Errors
    /// [`Error::Connect`] and [`Error::Timeout`].
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Error> {
        let url = request.uri().to_string();
        let response = match &self.transport {
            Transport::Plain(client) => client.request(request),
            Transport::Tls(client) => client.request(request),
        };
        match tokio::time::timeout(self.head_timeout, response).await {
            Err(_) => Err(Error::Timeout { url, after: self.head_timeout }),
            Ok(Err(source)) => Err(Error::Connect { url, source }),
            Ok(Ok(response)) => Ok(response),
        }
    }

    /// Status and text of `url`, the whole of it within the head's deadline.
    ///
    /// # Errors
    /// As [`Client::send`], and [`Error::Body`].
    pub async fn get(&self, url: &str, api_key: Option<&str>) -> Result<(http::StatusCode, String), Error> {
        let request = authorized(Request::get(url), api_key).body(Full::default())?;
        let whole = async {
            let (head, body) = self.send(request).await?.into_parts();
            Ok((head.status, read_body(body).await?))
        };
        let timeout = Error::Timeout { url: url.to_owned(), after: self.head_timeout };
        tokio::time::timeout(self.head_timeout, whole).await.unwrap_or(Err(timeout))
    }
}

/// Adds the bearer token.
#[must_use]
pub fn authorized(request: http::request::Builder, api_key: Option<&str>) -> http::request::Builder {
    match api_key {
        Some(key) => request.header(http::header::AUTHORIZATION, format!("Bearer {key}")),
        None => request,
    }
}

/// The whole body as text, at most 4 MiB of it.
///
/// # Errors
/// [`Error::Body`].
pub async fn read_body(body: Incoming) -> Result<String, Error> {
    let bytes = Limited::new(body, MAX_BODY).collect().await.map_err(Error::Body)?.to_bytes();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
