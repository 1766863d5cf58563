//! The listeners: ext_proc, gRPC health, admin pages and the native proxy, under one shutdown.
//!
//! All ports are bound before anything is served, so a port in use is found at once and a port of 0 has its
//! number before somebody needs it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_server::ExternalProcessorServer;
use hyper_util::service::TowerToHyperService;
use llmd_common::ready::Readiness;
use llmd_common::serve::{Limits, serve};
use llmd_common::shutdown::Shutdown;
use llmd_common::tls::{self, CertFiles};
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;

use crate::admin;
use crate::args::{Ports, Settings, Tls};
use crate::director::Director;
use crate::ext_proc::{self, ExtProc, StreamMetrics};
use crate::proxy::{self, Proxy};

mod health;

use health::Health;

/// Time between two looks at certificate files.
const CERT_RELOAD_INTERVAL: Duration = Duration::from_secs(10);

/// Why the listeners cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A port is taken or not allowed.
    #[error("cannot listen on {address} for {what} (change it with {flag})")]
    Listen {
        /// What the port is for.
        what: &'static str,
        /// The address asked for.
        address: SocketAddr,
        /// The flag that names the port.
        flag: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The ext_proc certificate cannot be used.
    #[error("cannot serve ext_proc with TLS")]
    Tls(#[from] tls::Error),
}

/// Bound sockets that nobody serves yet.
#[derive(Debug)]
pub struct Listeners {
    grpc: TcpListener,
    health: TcpListener,
    metrics: TcpListener,
    proxy: Option<TcpListener>,
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
    /// [`Error::Listen`] for the first port that cannot be bound.
    pub async fn bind(host: IpAddr, ports: Ports) -> Result<Self, Error> {
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
    pub fn addresses(&self) -> io::Result<Addresses> {
        Ok(Addresses {
            grpc: self.grpc.local_addr()?,
            health: self.health.local_addr()?,
            metrics: self.metrics.local_addr()?,
            proxy: self.proxy.as_ref().map(TcpListener::local_addr).transpose()?,
        })
    }
}

async fn bind(what: &'static str, flag: &'static str, host: IpAddr, port: u16) -> Result<TcpListener, Error> {
    let address = SocketAddr::new(host, port);
    let listener =
        TcpListener::bind(address).await.map_err(|source| Error::Listen { what, address, flag, source })?;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "listening for {what}");
    }
    Ok(listener)
}

/// What the listeners serve.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Routes requests.
    pub director: Arc<Director>,
    /// Whether the process can do its work.
    pub readiness: Readiness,
    /// Series of `/metrics`.
    pub registry: Registry,
}

/// Serves every listener until `shutdown` drains.
///
/// # Errors
/// [`Error::Tls`] when the certificate cannot be used.
pub fn spawn(
    listeners: Listeners,
    settings: &Settings,
    parts: Parts,
    shutdown: &Shutdown,
) -> Result<(), Error> {
    let Listeners { grpc, health, metrics, proxy } = listeners;
    let Parts { director, readiness, registry } = parts;
    let tls = acceptor(&settings.tls, shutdown)?;

    let health_service = HealthServer::new(Health::new(readiness.clone()));
    let stream_metrics = settings.stream_metrics.then(|| StreamMetrics::new(&registry));
    let processor = ext_proc_server(settings, Arc::clone(&director), stream_metrics);
    let mut routes = Routes::new(processor);
    if settings.health_on_grpc_port {
        routes = routes.add_service(health_service.clone());
    }
    spawn_grpc(grpc, routes, tls, shutdown);
    spawn_grpc(health, Routes::new(health_service), None, shutdown);

    let pages = admin::router(readiness.clone(), registry, Arc::clone(&director));
    spawn_http(metrics, pages, shutdown);
    if let Some(listener) = proxy {
        let limits = proxy::Limits { max_request_body_bytes: settings.max_request_body_bytes };
        let proxy = Proxy::new(director, readiness, limits);
        shutdown.spawn(serve(listener, proxy, None, Limits::default(), shutdown.clone()));
    }
    Ok(())
}

fn ext_proc_server(
    settings: &Settings,
    director: Arc<Director>,
    metrics: Option<StreamMetrics>,
) -> ExternalProcessorServer<ExtProc> {
    let options = ext_proc::Options {
        obey_subset: settings.obey_subset,
        max_request_body_bytes: settings.max_request_body_bytes,
    };
    ExternalProcessorServer::new(ExtProc::new(director, options, metrics))
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(settings.max_recv_bytes)
        .max_encoding_message_size(settings.max_send_bytes)
}

fn spawn_grpc(listener: TcpListener, routes: Routes, tls: Option<TlsAcceptor>, shutdown: &Shutdown) {
    let service = TowerToHyperService::new(routes.prepare());
    shutdown.spawn(serve(listener, service, tls, Limits::default(), shutdown.clone()));
}

fn spawn_http(listener: TcpListener, router: Router, shutdown: &Shutdown) {
    let service = TowerToHyperService::new(router);
    shutdown.spawn(serve(listener, service, None, Limits::default(), shutdown.clone()));
}

/// Envoy does not verify the certificate, so a self-signed one protects from reading along only.
fn acceptor(tls: &Tls, shutdown: &Shutdown) -> Result<Option<TlsAcceptor>, Error> {
    const H2: &[&[u8]] = &[b"h2"];
    let config = match tls {
        Tls::Off => return Ok(None),
        Tls::SelfSigned => tls::self_signed(&["localhost"], H2)?,
        Tls::Folder { path, reload } => {
            let interval = if *reload { CERT_RELOAD_INTERVAL } else { Duration::MAX };
            tls::from_files(CertFiles::in_dir(path), H2, interval, shutdown)?
        }
    };
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}
