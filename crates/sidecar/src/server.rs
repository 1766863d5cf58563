//! The listeners and their life: bind, serve, drain.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::Method;
use http::uri::{Authority, PathAndQuery};
use http_body_util::{Either, Full};
use hyper::service::service_fn;
use hyper_util::service::TowerToHyperService;
use llmd_common::ready::{Condition, Readiness};
use llmd_common::serve::{Limits, serve};
use llmd_common::shutdown::{Shutdown, Signals, Times};
use llmd_common::tls::{self, CertFiles};
use llmd_common::{admin, metrics};
use prometheus::Registry;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::allowlist::Allowlist;
use crate::allowlist::watch::{ConnectError, PoolWatch};
use crate::config::{Config, ServingTls};
use crate::metrics::Metrics;
use crate::service::{Service, Shared};
use crate::upstream::{Head, TlsError, Upstream};

/// Protocols that TLS clients may choose.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];
/// How often certificate files are looked at.
const CERT_INTERVAL: Duration = Duration::from_secs(5);
/// Between two looks at the local engine's health, and the limit of one.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// Why the process cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port is taken or not allowed.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The listeners' certificate.
    #[error("cannot serve TLS")]
    ServingTls(#[from] tls::Error),
    /// The legs' roots.
    #[error(transparent)]
    UpstreamTls(#[from] TlsError),
    /// No way to the API server, which knows the pool.
    #[error("--enable-ssrf-protection needs Kubernetes")]
    Kubernetes(#[from] ConnectError),
    /// A port made an impossible endpoint.
    #[error("cannot name the local engine")]
    Endpoint(#[from] http::uri::InvalidUri),
}

/// A sidecar whose ports are bound.
#[derive(Debug)]
pub struct Sidecar {
    shared: Arc<Shared>,
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    admin: Option<(TcpListener, SocketAddr)>,
    tls: Option<Arc<ServerConfig>>,
    pool: Option<PoolWatch>,
    registry: Registry,
    readiness: Readiness,
    shutdown: Shutdown,
}

impl Sidecar {
    /// Binds every port and loads every certificate, so that what can go wrong goes wrong now.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn bind(config: Config, shutdown: Shutdown) -> Result<Self, StartError> {
        let registry = Registry::new();
        metrics::register_process(&registry);
        let (mut listeners, mut addresses, mut decoders) = (Vec::new(), Vec::new(), Vec::new());
        for rank in 0..config.data_parallel_size {
            let port = if config.port == 0 { 0 } else { config.port + rank };
            let (listener, address) = listen(SocketAddr::new(config.host, port)).await?;
            listeners.push(listener);
            addresses.push(address);
            decoders.push(format!("localhost:{}", config.model_server_port + rank).parse::<Authority>()?);
        }
        let admin = match config.metrics_port {
            Some(port) => Some(listen(SocketAddr::new(config.host, port)).await?),
            None => None,
        };
        let upstream = |tls, timeout| Upstream::new(tls, config.ca_path.as_deref(), config.upstream, timeout);
        let pool = match &config.ssrf_protection {
            Some(protection) => Some(PoolWatch::new(protection).await?),
            None => None,
        };
        let shared = Shared {
            allowlist: pool.as_ref().map(|_| Allowlist::default()),
            prefiller: upstream(config.prefiller_tls, None)?,
            decoder: upstream(config.decoder_tls, config.response_timeout)?,
            listen_ports: addresses.iter().map(SocketAddr::port).collect(),
            decoders,
            metrics: Metrics::new(&registry, config.connector.name()),
            config,
        };
        let tls = serving_config(&shared.config.serving_tls, &shutdown)?;
        let (shared, readiness) = (Arc::new(shared), Readiness::new());
        Ok(Self { shared, listeners, addresses, admin, tls, pool, registry, readiness, shutdown })
    }

    /// Where each rank listens.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where metrics and readiness are served.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|(_, address)| *address)
    }

    /// Serves until the shutdown is over. Returns whether every request ended inside the deadline.
    ///
    /// # Errors
    /// When the signal handlers cannot be installed.
    pub async fn run(self) -> io::Result<bool> {
        let Self { shared, listeners, addresses, admin, tls, pool, registry, readiness, shutdown } = self;
        let signals = Signals::catch()?;
        let times =
            Times { propagation: shared.config.shutdown_delay, drain: shared.config.shutdown_timeout };
        if let Some((listener, address)) = admin {
            tracing::info!(%address, "admin server listening");
            let engine = readiness.condition("engine", "not asked yet");
            let stop = shutdown.draining().clone();
            shutdown.spawn(stop.run_until_cancelled_owned(watch_engines(Arc::clone(&shared), engine)));
            let service = TowerToHyperService::new(admin::router(readiness.clone(), registry));
            shutdown.spawn(serve(listener, service, None, Limits::default(), shutdown.clone()));
        }
        if let (Some(pool), Some(allowlist)) = (pool, shared.allowlist.clone()) {
            let condition =
                readiness.condition("allowlist", "the pods of the InferencePool are not known yet");
            let stop = shutdown.draining().clone();
            shutdown.spawn(stop.run_until_cancelled_owned(pool.follow(allowlist, condition)));
        }
        let tls = tls.map(TlsAcceptor::from);
        for (rank, (listener, address)) in (0..).zip(listeners.into_iter().zip(addresses)) {
            tracing::info!(%address, rank, engine = %shared.decoders[rank], "listening");
            let service = Service::new(Arc::clone(&shared), rank);
            let service = service_fn(move |request| {
                let service = service.clone();
                async move { Ok::<_, Infallible>(service.answer(request).await) }
            });
            shutdown.spawn(serve(listener, service, tls.clone(), Limits::default(), shutdown.clone()));
        }
        Ok(shutdown.run(signals, &readiness, times).await)
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let error = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(error)?;
    let bound = listener.local_addr().map_err(error)?;
    Ok((listener, bound))
}

fn serving_config(
    serving_tls: &ServingTls,
    shutdown: &Shutdown,
) -> Result<Option<Arc<ServerConfig>>, tls::Error> {
    let config = match serving_tls {
        ServingTls::Off => return Ok(None),
        ServingTls::SelfSigned => tls::self_signed(&["localhost"], &ALPN)?,
        ServingTls::Folder(folder) => {
            tls::from_files(CertFiles::in_dir(folder), &ALPN, CERT_INTERVAL, shutdown)?
        }
    };
    Ok(Some(Arc::new(config)))
}

/// Keeps the readiness condition at what the local engines' own `/health` says.
async fn watch_engines(shared: Arc<Shared>, condition: Condition) {
    loop {
        match unhealthy(&shared).await {
            None => condition.ready(),
            Some(reason) => condition.not_ready(&reason),
        }
        tokio::time::sleep(PROBE_INTERVAL).await;
    }
}

/// Why one of the engines is not healthy.
async fn unhealthy(shared: &Shared) -> Option<String> {
    for endpoint in &shared.decoders {
        let head = Head {
            method: Method::GET,
            path: PathAndQuery::from_static("/health"),
            headers: HeaderMap::new(),
        };
        let probe = shared.decoder.send(endpoint, head, Either::Left(Full::default()));
        match tokio::time::timeout(PROBE_INTERVAL, probe).await {
            Ok(Ok(response)) if response.status().is_success() => {}
            Ok(Ok(response)) => return Some(format!("{endpoint} answers {}", response.status())),
            Ok(Err(error)) => return Some(format!("{endpoint}: {}", llmd_common::report::Report(&error))),
            Err(_) => return Some(format!("{endpoint} does not answer")),
        }
    }
    None
}
