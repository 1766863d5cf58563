//! Sockets bound before anything is served, so that a port in use is found at once and a port of 0 has its
//! number before somebody needs it.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::TcpListener;

use crate::args::Ports;

/// A port that is taken or not allowed.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for {what} (change it with {flag})")]
pub struct ListenError {
    what: &'static str,
    address: SocketAddr,
    flag: &'static str,
    source: io::Error,
}

/// Bound sockets that nobody serves yet.
#[derive(Debug)]
pub(super) struct Listeners {
    pub(super) grpc: TcpListener,
    pub(super) health: TcpListener,
    pub(super) metrics: TcpListener,
    pub(super) proxy: Option<TcpListener>,
}

/// Where the process listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// ext_proc.
    pub grpc: SocketAddr,
    /// gRPC health.
    pub health: SocketAddr,
    /// Admin pages.
    pub metrics: SocketAddr,
    /// Native proxy, when it is on.
    pub proxy: Option<SocketAddr>,
}

impl Listeners {
    /// Binds every port.
    ///
    /// # Errors
    /// [`ListenError`] for the first port that cannot be bound.
    pub(super) async fn bind(host: IpAddr, ports: Ports) -> Result<Self, ListenError> {
        let Ports { grpc, health, metrics, proxy } = ports;
        Ok(Self {
            grpc: bind("ext_proc", "--grpc-port", host, grpc).await?,
            health: bind("gRPC health", "--grpc-health-port", host, health).await?,
            metrics: bind("metrics", "--metrics-port", host, metrics).await?,
            proxy: match proxy {
                Some(port) => Some(bind("the proxy", "--proxy-port", host, port).await?),
                None => None,
            },
        })
    }

    /// The addresses bound, with real port numbers.
    ///
    /// # Errors
    /// When the system does not know an address of its own socket.
    pub(super) fn addresses(&self) -> io::Result<Addresses> {
        Ok(Addresses {
            grpc: self.grpc.local_addr()?,
            health: self.health.local_addr()?,
            metrics: self.metrics.local_addr()?,
            proxy: self.proxy.as_ref().map(TcpListener::local_addr).transpose()?,
        })
    }
}

pub(super) async fn bind(
    what: &'static str,
    flag: &'static str,
    host: IpAddr,
    port: u16,
) -> Result<TcpListener, ListenError> {
    let address = SocketAddr::new(host, port);
    let listener =
        TcpListener::bind(address).await.map_err(|source| ListenError { what, address, flag, source })?;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "listening for {what}");
    }
    Ok(listener)
}
