//! The process in its other role: hooks of Envoy Gateway and gRPC health on one port, and the status of pools.

use std::io;
use std::net::SocketAddr;

use llmd_common::kubernetes::client::{ClientError, client};
use llmd_common::ready::Readiness;
use llmd_common::shutdown::Shutdown;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;

use super::health::{Health, Names};
use super::listeners::{ListenError, bind};
use super::spawn_grpc;
use crate::args::ExtensionArgs;
use crate::envoy_gateway::{ExtensionServer, Reporter};

/// Why the role cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ExtensionError {
    /// The port cannot be bound.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The system does not know the address of our own socket.
    #[error("cannot ask for the listener's address")]
    Address(#[source] io::Error),
    /// There is no way to the API server.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// Serves until `shutdown` drains. Says where it listens.
///
/// # Errors
/// [`ExtensionError`], with nothing served.
pub async fn start_extension(
    args: &ExtensionArgs,
    readiness: &Readiness,
    shutdown: &Shutdown,
) -> Result<SocketAddr, ExtensionError> {
    let client = client(args.kubeconfig.as_deref()).await?;
    let listener = bind("hooks of Envoy Gateway", "--port", args.host, args.port).await?;
    let address = listener.local_addr().map_err(ExtensionError::Address)?;
    let hooks = ExtensionServer::new(client.clone(), args.cluster_domain.clone());
    let health = HealthServer::new(Health::new(readiness.clone(), Names::Any));
    spawn_grpc(listener, Routes::new(hooks).add_service(health), None, shutdown);
    let reporter = Reporter::new(client, args.controller_name.clone());
    shutdown.spawn(reporter.follow(shutdown.draining().clone()));
    tracing::info!(%address, "hooks of Envoy Gateway are served");
    Ok(address)
}
