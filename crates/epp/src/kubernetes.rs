//! The endpoint picker inside a Kubernetes cluster: pods become endpoints, objectives and rewrites become policies.
//!
//! Every watch starts again after a failure and keeps what it knew until the next complete list, so an API server
//! that is away stops nothing. What is kept of an object is what decisions read; the rest is dropped on arrival.
//!
//! Pure: [`listing`], [`pod`], [`pool`], [`discovery`]'s state, [`generations`]' choice. Waiting: the `follow`
//! functions, [`watch`] and [`leader`].

use std::fmt::{self, Debug};
use std::path::PathBuf;
use std::sync::Arc;

use kube::Client;
use llmd_common::ready::Readiness;
use llmd_common::shutdown::Shutdown;

use crate::datastore::Datastore;
use crate::policies::Policies;

pub mod discovery;
pub mod generations;
pub mod leader;
pub mod listing;
pub mod pod;
pub mod pool;

use discovery::Discovery;

/// Which pods serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Those of an InferencePool.
    Pool {
        /// Its name.
        name: String,
        /// Which of the two APIs it is an object of.
        api: pool::PoolApi,
    },
    /// Those with certain labels, without a pool.
    Selector {
        /// A label selector as `kubectl -l` takes it.
        selector: String,
        /// Ports of each pod.
        ports: Vec<u16>,
    },
}

/// How the process is bound to its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kubernetes {
    /// Absent = the environment's kubeconfig or the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// Namespace of pool, pods, objectives, rewrites and lease.
    pub namespace: String,
    /// Name of the pool, or of the Deployment that stands for one; labels metrics and names the lease.
    pub pool_name: String,
    /// Which pods serve.
    pub scope: Scope,
    /// This replica's name in the election of a leader; `None` = every replica serves.
    pub election: Option<String>,
    /// Whether readers of metrics and debug pages must show a token that the API server lets through.
    pub metrics_access: bool,
}

/// A cluster and the way to it.
#[derive(Clone)]
pub struct Cluster {
    /// What of it matters.
    pub kubernetes: Kubernetes,
    /// Speaks with its API server.
    pub client: Client,
}

impl Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("kubernetes", &self.kubernetes).finish_non_exhaustive()
    }
}

/// Keeps `store` and `policies` as the cluster says until `shutdown` drains. Adds the conditions `pool` and, with an
/// election, `leader` to `readiness`. Returns at once; an API server that does not answer is waited for.
pub fn start(
    Cluster { kubernetes, client }: &Cluster,
    store: Arc<Datastore>,
    policies: &Arc<Policies>,
    readiness: &Readiness,
    shutdown: &Shutdown,
) {
    let condition = readiness.condition("pool", "the API server was not asked yet");
    let stop = shutdown.draining().clone();
    let discovery = Discovery::new(&kubernetes.scope, &kubernetes.namespace);
    let following =
        discovery::follow(client.clone(), kubernetes.clone(), discovery, store, condition, stop.clone());
    shutdown.spawn(following);
    for following in generations::follow_all(client, kubernetes, policies) {
        let stop = stop.clone();
        shutdown.spawn(async move {
            stop.run_until_cancelled(following).await;
        });
    }
    if let Some(identity) = &kubernetes.election {
        let condition = readiness.condition("leader", "another replica leads");
        shutdown.spawn(leader::follow(client.clone(), kubernetes.clone(), identity.clone(), condition, stop));
    }
}

#[cfg(test)]
mod tests;
