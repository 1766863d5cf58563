//! The webhook server and the certificate authority behind it.
//!
//! The condition `webhooks` of readiness holds when they answer. The API server needs them to store and convert objects,
//! so nothing here waits for objects; what reviews are judged by has a condition of its own, which waits for a while.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use llmd_common::backoff::Backoff;
use llmd_common::ready::{Condition, Readiness};
use llmd_common::report::Report;
use llmd_common::shutdown::Shutdown;
use llmd_common::tls::{self, CertFiles};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::args::Settings;
use crate::context::{Caches, Context};
use crate::llmisvc::facts::certificate::CertificateIssuer;
use crate::pki::{Authority, store};
use crate::start_error::StartError;
use crate::webhook::certificates::{ServingCertificate, maintain, subject_names};
use crate::webhook::manifests::Endpoint;
use crate::webhook::{self, server::ALPN};

/// Time in which changed certificate files are read again.
const RELOAD: Duration = Duration::from_secs(10);
/// Delays between attempts to read or make the authority.
const RETRY: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(30)];

/// What serves the webhooks.
#[derive(Debug)]
struct Webhooks {
    listener: TcpListener,
    condition: Condition,
    context: Context,
    shutdown: Shutdown,
}

impl Webhooks {
    fn serve(self, tls: ServerConfig) {
        let Self { listener, condition, context, shutdown } = self;
        condition.ready();
        shutdown.spawn(webhook::serve(listener, tls, Arc::new(context.caches), shutdown.clone()));
    }
}

/// Opens the webhooks' port, and serves there as soon as there is a certificate.
///
/// # Errors
/// When the port cannot be opened, or the certificate files that were given cannot be used.
pub async fn start(
    settings: &Settings,
    context: &Context,
    readiness: &Readiness,
    shutdown: &Shutdown,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Result<(), StartError> {
    let address = settings.webhook_addr;
    let listener = TcpListener::bind(address).await.map_err(StartError::listen(address))?;
    tracing::info!(address = %listener.local_addr().unwrap_or(address), "serving webhooks");
    let webhooks = Webhooks {
        listener,
        condition: readiness.condition("webhooks", "waiting for the certificate authority"),
        context: context.clone(),
        shutdown: shutdown.clone(),
    };
    let waiting = match &settings.webhook_cert_dir {
        Some(folder) => {
            webhooks.serve(from_files(folder, settings, shutdown)?);
            None
        }
        None => Some((webhooks, settings.clone())),
    };
    let (context, tasks_of_certify, stop) = (context.clone(), tasks.clone(), stop.clone());
    tasks.spawn(async move {
        let Some(authority) = follow_authority(&context, &tasks_of_certify, &stop).await else { return };
        if let Some((webhooks, settings)) = waiting
            && let Err(error) = serve_signed(webhooks, &settings, authority, &tasks_of_certify, stop)
        {
            tracing::error!(error = %Report(&error), "the webhooks cannot be served");
        }
    });
    Ok(())
}

fn from_files(folder: &Path, settings: &Settings, shutdown: &Shutdown) -> Result<ServerConfig, StartError> {
    tls::from_files(CertFiles::in_dir(folder), ALPN, RELOAD, shutdown)
        .and_then(|it| settings.cipher_suites.restrict(it))
        .map_err(StartError::tls("--webhook-cert-dir"))
}

/// Serves with a certificate of the installation's authority, and has the API server trust it.
fn serve_signed(
    webhooks: Webhooks,
    settings: &Settings,
    authority: watch::Receiver<Arc<Authority>>,
    tasks: &TaskTracker,
    stop: CancellationToken,
) -> Result<(), StartError> {
    let namespace = settings.installation.system_namespace.clone();
    let mut names = subject_names(&Endpoint::in_cluster(&namespace));
    if !settings.webhook_addr.ip().is_unspecified() {
        names.addresses.insert(settings.webhook_addr.ip());
    }
    let current = Arc::clone(&authority.borrow());
    let serving = ServingCertificate::new(current, names, Timestamp::now())?;
    let tls = (serving.served().server_config(ALPN))
        .and_then(|it| settings.cipher_suites.restrict(it))
        .map_err(StartError::tls("--webhook-port"))?;
    tasks.spawn(maintain(webhooks.context.client.clone(), namespace, authority, serving, stop));
    webhooks.serve(tls);
    Ok(())
}

/// Reads or makes the authority, has services' certificates made with it, and follows it until `stop`. `None` when
/// the process stops first.
async fn follow_authority(
    context: &Context,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Option<watch::Receiver<Arc<Authority>>> {
    let namespace = context.installation.system_namespace.clone();
    let [first, last] = RETRY;
    let mut backoff = Backoff::new(first, last);
    let authority = loop {
        match store::ensure(&context.client, &namespace, Timestamp::now()).await {
            Ok(authority) => break authority,
            Err(error) => tracing::warn!(error = %Report(&error), "no certificate authority yet"),
        }
        tokio::select! {
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(backoff.next_delay(0.0)) => {}
        }
    };
    let (sender, receiver) = watch::channel(Arc::new(authority));
    tasks.spawn(store::follow(context.client.clone(), namespace, sender, stop.clone()));
    if context.certificates.set(CertificateIssuer::new(receiver.clone())).is_ok() {
        context.caches.wake_all();
    }
    tasks.spawn(bring_to_services(context.caches.clone(), receiver.clone()));
    Some(receiver)
}

/// Has every service looked at whenever the authority changes, so that all of them show and trust the new one long
/// before the old one ends.
async fn bring_to_services(caches: Caches, mut authority: watch::Receiver<Arc<Authority>>) {
    while authority.changed().await.is_ok() {
        caches.wake_all();
    }
}
