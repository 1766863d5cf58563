//! The ports for metrics and probes.

use std::net::SocketAddr;

use axum::Router;
use kube::Client;
use llmd_common::admin;
use llmd_common::kubernetes::metrics_access;
use llmd_common::ready::Readiness;
use llmd_common::serve::{Limits, serve};
use llmd_common::shutdown::Shutdown;
use llmd_common::tls;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::args::Settings;
use crate::start_error::StartError;

/// Opens both ports; each may be switched off. The metrics port is TLS with a certificate of its own making and asks
/// the API server about each reader, unless `--metrics-secure=false`.
///
/// # Errors
/// When a port cannot be opened.
pub async fn start(
    settings: &Settings,
    client: &Client,
    readiness: &Readiness,
    registry: &Registry,
    shutdown: &Shutdown,
) -> Result<(), StartError> {
    let router = admin::router(readiness.clone(), registry.clone());
    let (metrics, tls) = if settings.metrics_secure {
        let tls = tls::self_signed(&["localhost"], &[b"h2", b"http/1.1"])
            .and_then(|it| settings.cipher_suites.restrict(it))
            .map_err(StartError::tls("--metrics-secure"))?;
        (
            metrics_access::guard(router.clone(), client.clone()),
            Some(TlsAcceptor::from(std::sync::Arc::new(tls))),
        )
    } else {
        (router.clone(), None)
    };
    listen("metrics", settings.metrics_addr, metrics, tls, shutdown).await?;
    listen("health", settings.health_addr, router, None, shutdown).await
}

async fn listen(
    what: &str,
    address: Option<SocketAddr>,
    router: Router,
    tls: Option<TlsAcceptor>,
    shutdown: &Shutdown,
) -> Result<(), StartError> {
    let Some(address) = address else { return Ok(()) };
    let listener = TcpListener::bind(address).await.map_err(StartError::listen(address))?;
    tracing::info!(address = %listener.local_addr().unwrap_or(address), tls = tls.is_some(), "serving {what}");
    let service = hyper_util::service::TowerToHyperService::new(router);
    shutdown.spawn(serve(listener, service, tls, Limits::default(), shutdown.clone()));
    Ok(())
}
