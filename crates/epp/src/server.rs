//! The whole process around one shutdown: the inside, and the listeners for ext_proc, gRPC health, admin
//! pages and the native proxy.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_server::ExternalProcessorServer;
use hyper_util::service::TowerToHyperService;
use llmd_common::kubernetes::client::{ClientError, client};
use llmd_common::kubernetes::metrics_access;
use llmd_common::metrics;
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
use crate::args::{ConfigSource, Settings, Tls};
use crate::config::{ConfigError, EndpointPickerConfig};
use crate::director::Director;

use crate::ext_proc::{self, ExtProc, StreamMetrics};
use crate::kubernetes::Cluster;
use crate::metrics::deprecated::with_twins;
use crate::proxy::{self, Proxy};
use crate::startup::{self, StartError};

mod extension;
mod health;
mod listeners;

pub use extension::{ExtensionError, start_extension};
use health::Health;
use listeners::Listeners;
pub use listeners::{Addresses, ListenError};

/// Time between two looks at certificate files.
const CERT_RELOAD_INTERVAL: Duration = Duration::from_secs(10);

/// Why the process cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `--config-file` cannot be read.
    #[error("cannot read --config-file {}", path.display())]
    ReadConfig {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The configuration is not an EndpointPickerConfig.
    #[error("{origin}")]
    Config {
        /// The file or flag.
        origin: String,
        /// What is wrong with it.
        #[source]
        source: ConfigError,
    },
    /// The API server cannot be addressed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A port cannot be bound.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The system does not know an address of our own socket.
    #[error("cannot ask for a listener's address")]
    Address(#[source] io::Error),
    /// Plugins or discovery cannot start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The ext_proc certificate cannot be used.
    #[error("cannot serve ext_proc with TLS")]
    Tls(#[from] tls::Error),
}

/// Binds every port, starts the inside and serves until `shutdown` drains. Says where it listens. Call inside
/// a Tokio runtime; `readiness` tells gateways and probes whether the process can do its work.
///
/// # Errors
/// [`Error`], with nothing served; what was bound is released.
pub async fn start(
    settings: &Settings,
    readiness: &Readiness,
    shutdown: &Shutdown,
) -> Result<Addresses, Error> {
    let mut config = load_config(&settings.config)?;
    config.add_parameters("metrics-data-source", &settings.metrics_source);
    let cluster = match &settings.kubernetes {
        Some(it) if config.data_layer.discovery.plugin().is_none() => {
            Some(Cluster { kubernetes: it.clone(), client: client(it.kubeconfig.as_deref()).await? })
        }
        _ => None,
    };
    let listeners = Listeners::bind(settings.host, settings.ports).await?;
    let addresses = listeners.addresses().map_err(Error::Address)?;
    let tls = acceptor(&settings.tls, shutdown)?;
    let registry = Registry::new();
    metrics::register_process(&registry);
    let options = startup::Options {
        pool_name: settings.pool_name.clone(),
        refresh_interval: settings.scrape.interval,
        gauge_interval: settings.scrape.pool_gauges,
        cluster: cluster.clone(),
    };
    let director = startup::start(config, options, shutdown, readiness, &registry).await?;
    let parts = Parts { director, readiness: readiness.clone(), registry, cluster };
    spawn(listeners, settings, tls, parts, shutdown);
    Ok(addresses)
}

fn load_config(source: &ConfigSource) -> Result<EndpointPickerConfig, Error> {
    let (origin, text) = match source {
        ConfigSource::Default => return Ok(EndpointPickerConfig::without_file()),
        ConfigSource::Text(text) => ("--config-text".to_owned(), text.clone()),
        ConfigSource::File(path) => {
            let read = std::fs::read_to_string(path);
            let text = read.map_err(|source| Error::ReadConfig { path: path.clone(), source })?;
            (path.display().to_string(), text)
        }
    };
    EndpointPickerConfig::parse(&text).map_err(|source| Error::Config { origin, source })
}

/// What the listeners serve.
struct Parts {
    director: Arc<Director>,
    readiness: Readiness,
    registry: Registry,
    cluster: Option<Cluster>,
}

fn spawn(
    listeners: Listeners,
    settings: &Settings,
    tls: Option<TlsAcceptor>,
    parts: Parts,
    shutdown: &Shutdown,
) {
    let Listeners { grpc, health, metrics, proxy } = listeners;
    let Parts { director, readiness, registry, cluster } = parts;

    let names = match &cluster {
        Some(it) if it.kubernetes.election.is_some() => health::Names::OfElection,
        _ => health::Names::Any,
    };
    let health_service = HealthServer::new(Health::new(readiness.clone(), names));
    let stream_metrics = settings.stream_metrics.then(|| StreamMetrics::new(&registry));
    let mut routes = Routes::new(ext_proc_server(settings, Arc::clone(&director), stream_metrics));
    if settings.health_on_grpc_port {
        routes = routes.add_service(health_service.clone());
    }
    spawn_grpc(grpc, routes, tls, shutdown);
    spawn_grpc(health, Routes::new(health_service), None, shutdown);

    let mut pages = admin::router(readiness.clone(), with_twins(registry), Arc::clone(&director));
    if let Some(cluster) = cluster.filter(|it| it.kubernetes.metrics_access) {
        pages = metrics_access::guard(pages, cluster.client);
    }
    spawn_http(metrics, pages, shutdown);
    if let Some(listener) = proxy {
        let limits = proxy::Limits {
            max_request_body_bytes: settings.max_request_body_bytes,
            response_timeout: settings.response_timeout,
        };
        let proxy = Proxy::new(director, readiness, limits);
        shutdown.spawn(serve(listener, proxy, None, Limits::default(), shutdown.clone()));
    }
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
