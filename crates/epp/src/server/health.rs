//! `grpc.health.v1.Health` as gateways and Kubernetes probes ask it.
//!
//! Every service name gives the process's readiness, `liveness` excepted, which is always serving; where replicas elect
//! a leader only the names that probes and gateways use are known. `Watch` is unimplemented, as in the peers: probes
//! poll.

use std::pin::Pin;

use futures_util::Stream;
use llmd_common::ready::Readiness;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_server};

/// Service name that asks whether the process runs at all.
const LIVENESS: &str = "liveness";
/// Service names that ask whether this replica should get requests.
const READINESS: [&str; 3] = ["", "readiness", "envoy.service.ext_proc.v3.ExternalProcessor"];

/// Which service names there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// Whatever is asked for.
    Any,
    /// [`LIVENESS`] and [`READINESS`].
    OfElection,
}

/// The health service over [`Readiness`], read at each call so that a shutdown shows at once.
#[derive(Debug, Clone)]
pub(super) struct Health {
    readiness: Readiness,
    names: Names,
}

impl Health {
    pub(super) const fn new(readiness: Readiness, names: Names) -> Self {
        Self { readiness, names }
    }

    fn status(&self, service: &str) -> ServingStatus {
        if service != LIVENESS && self.names == Names::OfElection && !READINESS.contains(&service) {
            ServingStatus::ServiceUnknown
        } else if service == LIVENESS || self.readiness.is_ready() {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        }
    }
}

#[tonic::async_trait]
impl health_server::Health for Health {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let status = self.status(&request.get_ref().service);
        Ok(Response::new(HealthCheckResponse { status: status.into() }))
    }

    async fn watch(
        &self,
        _request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("poll Check instead"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_that_waits_for_the_lease_lives_and_is_not_ready() {
        let readiness = Readiness::new();
        let leader = readiness.condition("leader", "another replica leads");
        let health = Health::new(readiness, Names::OfElection);
        assert_eq!(health.status("liveness"), ServingStatus::Serving);
        assert_eq!(health.status("readiness"), ServingStatus::NotServing);
        assert_eq!(health.status("other"), ServingStatus::ServiceUnknown);
        leader.ready();
        for name in READINESS {
            assert_eq!(health.status(name), ServingStatus::Serving);
        }
    }

    #[test]
    fn without_an_election_every_name_asks_for_readiness() {
        let readiness = Readiness::new();
        let pool = readiness.condition("pool", "missing");
        let health = Health::new(readiness, Names::Any);
        assert_eq!(health.status("inference-extension"), ServingStatus::NotServing);
        pool.ready();
        assert_eq!(health.status("inference-extension"), ServingStatus::Serving);
    }
}
