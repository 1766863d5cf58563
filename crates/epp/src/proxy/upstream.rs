//! The connections to endpoints: pooled, with deadlines for connecting and for silent peers.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use llmd_common::proxy::body::ResponseStream;
use llmd_common::proxy::upstream;
use llmd_common::report::Report;

/// A dead endpoint must cost less than a retry is worth.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const MAX_IDLE_PER_ENDPOINT: usize = 256;

/// How sending a request failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// No connection, so the endpoint has seen nothing of the request.
    Connect(String),
    /// The endpoint may have seen the request.
    Exchange(String),
    /// The endpoint has the request and says nothing.
    Silent {
        /// For how long.
        limit: Duration,
    },
}

/// A client shared by all requests.
#[derive(Debug, Clone)]
pub(super) struct Upstream {
    client: Client<HttpConnector, Full<Bytes>>,
    response_timeout: Option<Duration>,
}

impl Upstream {
    /// `response_timeout` bounds the wait for a response's head and for each next piece.
    pub(super) fn new(response_timeout: Option<Duration>) -> Self {
        let client = upstream::client(upstream::tcp(CONNECT_TIMEOUT), MAX_IDLE_PER_ENDPOINT);
        Self { client, response_timeout }
    }

    /// Sends a request and waits for the head of its response. Dropping the future or the response's body
    /// closes the connection.
    pub(super) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<ResponseStream>, Failure> {
        let response = self.client.request(request);
        let result = match self.response_timeout {
            None => response.await,
            Some(limit) => {
                tokio::time::timeout(limit, response).await.map_err(|_| Failure::Silent { limit })?
            }
        };
        result.map(|it| it.map(|body| ResponseStream::new(body, self.response_timeout))).map_err(|error| {
            let report = Report(&error as &dyn Error).to_string();
            if error.is_connect() { Failure::Connect(report) } else { Failure::Exchange(report) }
        })
    }
}
