//! An HTTP client that follows redirects, bounds every wait and tries again where that may help.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, LOCATION};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use llmd_common::backoff::Backoff;
use url::Url;

use crate::config::{Limits, Trust};
use crate::error::Error;
use crate::tls;

/// Redirects in a row.
const MAX_REDIRECTS: usize = 10;
/// Longest listing, in bytes.
const MAX_LISTING: usize = 64 << 20;

type Inner = hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Talks to the servers of models.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Inner,
    limits: Limits,
}

impl Client {
    /// A client that talks to whom `trust` says.
    ///
    /// # Errors
    /// When a certificate file cannot be read.
    pub fn new(trust: &Trust, limits: Limits) -> Result<Self, Error> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_connect_timeout(Some(limits.answer));
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls::client_config(trust)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let inner = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(https);
        Ok(Self { inner, limits })
    }

    /// How long to wait, and how often.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The answer to GET, after redirects. `headers` stay with the host of `url`, since they may be secret.
    ///
    /// # Errors
    /// When there is no answer in time, or it is no success.
    pub async fn get(
        &self,
        url: &Url,
        headers: &HeaderMap,
        range: Option<&str>,
    ) -> Result<Response<Incoming>, Error> {
        let mut target = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let mut request =
                Request::get(target.as_str()).body(Full::default()).map_err(|it| answer(url, it))?;
            if target.origin() == url.origin() {
                request.headers_mut().extend(headers.clone());
            }
            if let Some(range) = range.and_then(|it| it.parse().ok()) {
                request.headers_mut().insert(http::header::RANGE, range);
            }
            let response = self.send(&target, request).await?;
            if !response.status().is_redirection() {
                return success(url, response);
            }
            if let Some(region) = other_region(&response) {
                return Err(Error::Region { url: shown(url), region });
            }
            let location = response.headers().get(LOCATION).and_then(|it| it.to_str().ok());
            let next = location.and_then(|it| target.join(it).ok());
            target = next.ok_or_else(|| Error::Redirect { url: shown(url) })?;
        }
        Err(Error::Redirect { url: shown(url) })
    }

    /// The whole body of a small answer with its headers, trying again where that may help.
    ///
    /// # Errors
    /// When every attempt failed.
    pub async fn get_text(&self, url: &Url, headers: &HeaderMap) -> Result<(HeaderMap, Bytes), Error> {
        retry(&self.limits, async || {
            let response = self.get(url, headers, None).await?;
            let (parts, body) = response.into_parts();
            Ok((parts.headers, self.collect(url, body).await?))
        })
        .await
    }

    /// Status and whole body of the small answer to a form. Redirects are not followed: forms are secret.
    ///
    /// # Errors
    /// When there is no answer in time.
    pub async fn post_form(&self, url: &Url, form: &[(&str, &str)]) -> Result<(StatusCode, Bytes), Error> {
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = Request::post(url.as_str())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::from(form))
            .map_err(|it| answer(url, it))?;
        let response = self.send(url, request).await?;
        let status = response.status();
        Ok((status, self.collect(url, response.into_body()).await?))
    }

    async fn collect(&self, url: &Url, body: Incoming) -> Result<Bytes, Error> {
        let body = within(self.limits.answer, url, Limited::new(body, MAX_LISTING).collect()).await?;
        Ok(body.map_err(|source| answer(url, source))?.to_bytes())
    }

    async fn send(&self, url: &Url, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Error> {
        let sent = within(self.limits.answer, url, self.inner.request(request)).await?;
        sent.map_err(|source| Error::Connect { url: shown(url), source: source.into() })
    }
}

/// The outcome of `future`, unless it takes longer than `limit`.
pub(crate) async fn within<T>(
    limit: Duration,
    url: &Url,
    future: impl Future<Output = T>,
) -> Result<T, Error> {
    tokio::time::timeout(limit, future).await.map_err(|_elapsed| Error::Stalled { url: shown(url) })
}

/// Runs `attempt` until it succeeds, fails for good, or has failed as often as the limits allow.
pub(crate) async fn retry<T>(
    limits: &Limits,
    mut attempt: impl AsyncFnMut() -> Result<T, Error>,
) -> Result<T, Error> {
    let mut backoff = Backoff::new(limits.pause, limits.pause * 30);
    let mut n_left = limits.n_attempts;
    loop {
        n_left = n_left.saturating_sub(1);
        match attempt().await {
            Err(error) if error.is_transient() && n_left > 0 => {
                tracing::warn!(error = %llmd_common::report::Report(&error), n_left, "trying again");
                tokio::time::sleep(backoff.next_delay(rand::random())).await;
            }
            outcome => return outcome,
        }
    }
}

/// A URL for people: its query may hold a signature, its authority a password.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    if !url.cannot_be_a_base() {
        url.set_username("").and_then(|()| url.set_password(None)).ok();
    }
    url.to_string()
}

/// An answer that cannot be understood.
pub(crate) fn answer(url: &Url, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Answer { url: shown(url), source: source.into() }
}

/// Where the bucket is, if the server of another region answers.
fn other_region(response: &Response<Incoming>) -> Option<String> {
    let headers = response.headers();
    let region = headers.get("x-amz-bucket-region").filter(|_| !headers.contains_key(LOCATION))?;
    region.to_str().ok().map(str::to_owned)
}

fn success(url: &Url, response: Response<Incoming>) -> Result<Response<Incoming>, Error> {
    if response.status().is_success() {
        return Ok(response);
    }
    Err(Error::Status { url: shown(url), status: response.status() })
}
