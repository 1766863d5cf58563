//! `grpc.health.v1.Health` as gateways and Kubernetes probes ask it.
//!
//! Every service name gives the process's readiness, `liveness` excepted, which is always serving. `Watch` is
//! unimplemented, as in the peers: probes poll.

use std::pin::Pin;

use futures_util::Stream;
use llmd_common::ready::Readiness;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_server};

/// Service name that asks whether the process runs at all.
const LIVENESS: &str = "liveness";

/// The health service over [`Readiness`], read at each call so that a shutdown shows at once.
#[derive(Debug, Clone)]
pub(super) struct Health {
    readiness: Readiness,
}

impl Health {
    pub(super) const fn new(readiness: Readiness) -> Self {
        Self { readiness }
    }
}

#[tonic::async_trait]
impl health_server::Health for Health {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let is_serving = request.get_ref().service == LIVENESS || self.readiness.is_ready();
        let status = if is_serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        Ok(Response::new(HealthCheckResponse { status: status.into() }))
    }

    async fn watch(
        &self,
        _request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("poll Check instead"))
    }
}
