//! Connections to engines: one pool a leg, plain or TLS.
//!
//! Guarantees: connecting has a deadline, waiting for a response has one, idle connections are bounded in number
//! and age, and a lost peer is noticed. Dropping a response drops its connection.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use llmd_common::proxy::body::ResponseStream;
use llmd_common::proxy::upstream::{self, WithDeadline};

use crate::config::{LegTls, UpstreamLimits};

mod tls;

/// A request body: the client's stream, or bytes made here.
pub type RequestBody = Either<Full<Bytes>, Incoming>;

/// The parts of a request that both legs share.
#[derive(Debug, Clone)]
pub struct Head {
    /// The client's method.
    pub method: Method,
    /// The client's path and query.
    pub path: PathAndQuery,
    /// Headers, prepared for an engine.
    pub headers: HeaderMap,
}

/// Why a leg has no response.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// No connection: refused, unreachable, unresolved, or the TLS handshake failed.
    #[error("cannot connect")]
    Connect(#[source] hyper_util::client::legacy::Error),
    /// The connection broke before the response head was here.
    #[error("connection broke off")]
    Transport(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The response head did not come in time.
    #[error("no response within {seconds} s")]
    Timeout {
        /// The limit.
        seconds: u64,
    },
}

/// Why the client side of TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The system has no usable root certificates.
    #[error("cannot load the system's root certificates: give --ca-path or --tls-insecure-skip-verify")]
    SystemRoots(#[source] io::Error),
    /// The file of `--ca-path` cannot be read.
    #[error("cannot read the root certificates in {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// The file of `--ca-path` holds no certificate.
    #[error("no certificate in {}", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A certificate or the protocol configuration is refused.
    #[error("cannot configure TLS to the engines")]
    Rustls(#[from] rustls::Error),
}

/// One leg's client. Clones share the pool.
#[derive(Debug, Clone)]
pub struct Upstream {
    client: Client<WithDeadline<HttpsConnector<HttpConnector>>, RequestBody>,
    scheme: Scheme,
    response_timeout: Option<Duration>,
}

impl Upstream {
    /// A client for one leg. `response_timeout` bounds the wait for a response's head and for each next piece.
    ///
    /// # Errors
    /// When TLS is asked for and its root certificates cannot be loaded.
    pub fn new(
        tls: LegTls,
        ca_path: Option<&Path>,
        limits: UpstreamLimits,
        response_timeout: Option<Duration>,
    ) -> Result<Self, TlsError> {
        let mut tcp = upstream::tcp(limits.connect_timeout);
        tcp.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls::client_config(tls, ca_path)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let connector = WithDeadline::new(connector, limits.connect_timeout);
        let client = upstream::client(connector, limits.max_idle_per_host);
        let scheme = if tls == LegTls::Off { Scheme::HTTP } else { Scheme::HTTPS };
        Ok(Self { client, scheme, response_timeout })
    }

    /// Sends one request and waits for the response's head.
    ///
    /// # Errors
    /// [`SendError`]; nothing is tried twice here.
    pub async fn send(
        &self,
        endpoint: &Authority,
        head: Head,
        body: RequestBody,
    ) -> Result<Response<ResponseStream>, SendError> {
        let uri = Uri::builder()
            .scheme(self.scheme.clone())
            .authority(endpoint.clone())
            .path_and_query(head.path)
            .build()
            .map_err(|it| SendError::Transport(it.into()))?;
        let mut request = Request::new(body);
        *request.method_mut() = head.method;
        *request.uri_mut() = uri;
        *request.headers_mut() = head.headers;
        let response = self.client.request(request);
        let result = match self.response_timeout {
            None => response.await,
            Some(limit) => tokio::time::timeout(limit, response)
                .await
                .map_err(|_| SendError::Timeout { seconds: limit.as_secs() })?,
        };
        match result {
            Ok(response) => Ok(response.map(|it| ResponseStream::new(it, self.response_timeout))),
            Err(error) if error.is_connect() => Err(SendError::Connect(error)),
            Err(error) => Err(SendError::Transport(error.into())),
        }
    }
}
