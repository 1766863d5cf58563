//! Accept loop for HTTP/1.1 and HTTP/2, plain or TLS, that drains.
//!
//! One task a connection. On drain the listener closes, idle connections end and busy ones finish the request
//! they are in, and one that the client sends right after it; on cancel every connection is dropped, which cancels
//! the handlers behind it.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::HttpBody;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::shutdown::Shutdown;

mod opening;
mod parting;

use opening::Opening;
use parting::{Activity, Attended};

/// Idle time after which a client's TCP connection is probed, and the time between probes.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// Time between two pings of an HTTP/2 client, which finds out that a silent one is gone.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// Time a client has to answer a ping before its streams are dropped.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Requests open at a time on one HTTP/2 connection; further ones wait at the client. A gateway carries all of
/// its requests over a few connections, each for as long as its answer streams.
const MAX_STREAMS: u32 = 4096;

type BoxError = Box<dyn Error + Send + Sync>;

/// Limits of one listener.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections open at a time; further ones wait in the kernel's backlog.
    pub max_connections: usize,
    /// Time a client has to send its request headers.
    pub header_timeout: Duration,
    /// Largest request head in bytes.
    pub max_header_bytes: usize,
    /// Time without a sign of a client that is owed one: an acknowledgement, or room for more of its answer.
    pub peer_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 16_384,
            header_timeout: Duration::from_secs(30),
            max_header_bytes: 1 << 20,
            peer_timeout: Duration::from_secs(60),
        }
    }
}

/// The client's end of the connection, in the extensions of each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// Serves `listener` until `shutdown` drains. Returns after the listener closed; connections are tracked by
/// `shutdown`.
pub async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    tls: Option<TlsAcceptor>,
    limits: Limits,
    shutdown: Shutdown,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: HttpBody + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let permits = Arc::new(Semaphore::new(limits.max_connections));
    let builder = Arc::new(connection_builder(limits));
    loop {
        let permit = tokio::select! {
            biased;
            permit = Arc::clone(&permits).acquire_owned() => permit,
            () = shutdown.draining().cancelled() => return,
        };
        let accepted = tokio::select! {
            biased;
            // First what has come already: the kernel has told these clients that they are connected.
            accepted = listener.accept() => accepted,
            () = shutdown.draining().cancelled() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors is the usual cause: give connections time to end.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let service = Attended {
            service: service.clone(),
            peer: Peer(peer),
            activity: Activity::new(),
            leaving: shutdown.leaving().clone(),
        };
        let (builder, tls, shutdown_of_connection) = (Arc::clone(&builder), tls.clone(), shutdown.clone());
        shutdown.spawn(async move {
            let served = connection(stream, tls, &builder, limits, service, &shutdown_of_connection);
            if let Err(error) = served.await {
                tracing::debug!(error = %error, "connection ended");
            }
            drop(permit);
        });
    }
}

fn connection_builder(limits: Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.max_header_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX));
    builder
}

async fn connection<S, B>(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    builder: &auto::Builder<TokioExecutor>,
    limits: Limits,
    service: Attended<S>,
    shutdown: &Shutdown,
) -> Result<(), BoxError>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
    B: HttpBody + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    set_options(&stream, limits.peer_timeout)?;
    let activity = service.activity.clone();
    match tls {
        None => {
            let io = TokioIo::new(Opening::new(stream, limits.header_timeout));
            drive(builder.serve_connection(io, service), &activity, shutdown).await
        }
        Some(tls) => {
            let handshake = tokio::time::timeout(Duration::from_secs(10), tls.accept(stream));
            let stream = handshake.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            let io = TokioIo::new(Opening::new(stream, limits.header_timeout));
            drive(builder.serve_connection(io, service), &activity, shutdown).await
        }
    }
}

/// Small writes leave at once, and a client that is gone without a word, or does not read what it asked for,
/// loses its connection (tcp(7), `TCP_USER_TIMEOUT`).
fn set_options(stream: &TcpStream, peer_timeout: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE)?;
    sockopt::set_tcp_user_timeout(stream, u32::try_from(peer_timeout.as_millis()).unwrap_or(u32::MAX))?;
    Ok(())
}

/// A connection that can be asked to end after its current request.
trait Graceful: Future<Output = Result<(), BoxError>> {
    fn end_gracefully(self: std::pin::Pin<&mut Self>);
}

impl<I, S, B> Graceful for auto::Connection<'_, I, S, TokioExecutor>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S::Future: Send + 'static,
    B: HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
{
    fn end_gracefully(self: std::pin::Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Serves a connection to its end. Once the process drains it takes leave of the client.
async fn drive<C: Graceful>(connection: C, activity: &Activity, shutdown: &Shutdown) -> Result<(), BoxError> {
    let mut connection = std::pin::pin!(connection);
    let leave = async {
        shutdown.draining().cancelled().await;
        activity.may_end().await;
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled().cancelled() => return Ok(()),
        result = connection.as_mut() => return result,
        () = leave => connection.as_mut().end_gracefully(),
    }
    tokio::select! {
        biased;
        () = shutdown.cancelled().cancelled() => Ok(()),
        result = connection => result,
    }
}

#[cfg(test)]
mod tests;
