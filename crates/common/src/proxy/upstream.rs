//! Connections to the servers behind a proxy: pooled, with a deadline for connecting, and given up when the peer
//! is lost.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Buf;
use http::Uri;
use http_body::Body;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower_service::Service;

/// Idle connections are closed before the server would close them (uvicorn does after 5 s), so that no request
/// is written into a connection that is just ending.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// Generation may be silent for minutes, so a lost peer is found by probes and not by waiting for bytes.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// Time without an acknowledgement after which a peer counts as lost.
const PEER_TIMEOUT: Duration = Duration::from_secs(30);

type BoxError = Box<dyn Error + Send + Sync>;

/// Connects over TCP, within `connect_timeout` shared by all addresses of a name.
#[must_use]
pub fn tcp(connect_timeout: Duration) -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(KEEPALIVE));
    tcp.set_keepalive_interval(Some(KEEPALIVE));
    tcp.set_tcp_user_timeout(Some(PEER_TIMEOUT));
    tcp.set_connect_timeout(Some(connect_timeout));
    tcp
}

/// A client that keeps up to `max_idle` connections to each server.
pub fn client<C, B>(connector: C, max_idle: usize) -> Client<C, B>
where
    C: hyper_util::client::legacy::connect::Connect + Clone,
    B: Body + Send,
    B::Data: Buf + Send,
{
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(max_idle)
        .build(connector)
}

/// A connector with a deadline for all of its work: name resolution and TLS handshake, which [`tcp`]'s own does
/// not cover, included.
#[derive(Debug, Clone)]
pub struct WithDeadline<C> {
    connector: C,
    limit: Duration,
}

impl<C> WithDeadline<C> {
    /// Gives `connector` the deadline.
    pub const fn new(connector: C, limit: Duration) -> Self {
        Self { connector, limit }
    }
}

impl<C> Service<Uri> for WithDeadline<C>
where
    C: Service<Uri>,
    C::Error: Into<BoxError>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connected = tokio::time::timeout(self.limit, self.connector.call(uri));
        Box::pin(async move { connected.await?.map_err(Into::into) })
    }
}
