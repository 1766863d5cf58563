//! The connections to endpoints: pooled, with deadlines for connecting and for silent peers.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use llmd_common::report::Report;

/// A dead endpoint must cost less than a retry is worth.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Generation may be silent for minutes, so a lost peer is found by TCP and not by waiting for bytes.
const KEEPALIVE: Duration = Duration::from_secs(15);
const USER_TIMEOUT: Duration = Duration::from_secs(30);
/// Shorter than the idle timeout of the servers behind, so that a reused connection is alive.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
const MAX_IDLE_PER_ENDPOINT: usize = 256;

/// How sending a request failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// No connection, so the endpoint has seen nothing of the request.
    Connect(String),
    /// The endpoint may have seen the request.
    Exchange(String),
}

/// A client shared by all requests.
#[derive(Debug, Clone)]
pub(super) struct Upstream {
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Upstream {
    pub(super) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_keepalive(Some(KEEPALIVE));
        connector.set_tcp_user_timeout(Some(USER_TIMEOUT));
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE_PER_ENDPOINT)
            .build(connector);
        Self { client }
    }

    /// Sends a request and waits for the head of its response. Dropping the future or the response's body
    /// closes the connection.
    pub(super) async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failure> {
        self.client.request(request).await.map_err(|error| {
            let report = Report(&error as &dyn Error).to_string();
            if error.is_connect() { Failure::Connect(report) } else { Failure::Exchange(report) }
        })
    }
}
