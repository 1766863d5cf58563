//! The status of InferencePools, in Envoy Gateway's stead: which Gateways send requests to them.
//!
//! Envoy Gateway writes what it made of an HTTPRoute into the route's status and knows no status of the pools behind
//! it. Controllers like KServe's wait for it before they call a service ready. So routes and pools are watched, what
//! routes say is passed on to their pools ([`report`]), and other controllers' entries stay. Several replicas write
//! the same; whoever comes second finds nothing to change.

use std::time::Duration;

use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::watcher;
use llmd_api::gateway::HTTPRoute;
use llmd_api::inference::pool_v1::InferencePool;
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::kubernetes::listing::Listing;
use llmd_common::kubernetes::watch::Watch;
use report::{PoolFacts, Report, RouteFacts};

mod report;

/// How long the API server may take to write a status.
const DEADLINE: Duration = Duration::from_secs(5);
/// Time until a status that could not be written is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Writes statuses of pools.
pub struct Reporter {
    client: Client,
    controller_name: String,
}

impl std::fmt::Debug for Reporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reporter").field("controller_name", &self.controller_name).finish_non_exhaustive()
    }
}

impl Reporter {
    /// Writes with the rights of `client`: `get`, `list` and `watch` of HTTPRoutes and InferencePools, `patch` of the
    /// latter's status. `controller_name` is that of the GatewayClasses whose Gateways are reported.
    #[must_use]
    pub const fn new(client: Client, controller_name: String) -> Self {
        Self { client, controller_name }
    }

    /// Keeps statuses as the routes say until `stop`.
    pub async fn follow(self, stop: CancellationToken) {
        let mut route_watch = self.watch::<HTTPRoute>("HTTPRoutes");
        let mut pool_watch = self.watch::<InferencePool>("InferencePools");
        let (mut routes, mut pools) = (Listing::default(), Listing::default());
        let (mut is_news, mut retry) = (false, None);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                seen = route_watch.next() => is_news |= routes.see(seen, |it| RouteFacts::of(it, &self.controller_name)),
                seen = pool_watch.next() => is_news |= pools.see(seen, PoolFacts::of),
                () = at(retry) => (is_news, retry) = (true, None),
                // Only when no watch has more to say, so that a burst of events is one change.
                () = std::future::ready(()), if is_news && routes.is_complete() && pools.is_complete() => {
                    is_news = false;
                    let reports = report::reports(&self.controller_name, routes.objects(), pools.objects());
                    retry = self.write(reports).await.then(|| Instant::now() + RETRY);
                }
            }
        }
    }

    fn watch<K>(&self, what: &str) -> Watch<K>
    where
        K: kube::Resource<DynamicType = ()>
            + Clone
            + serde::de::DeserializeOwned
            + std::fmt::Debug
            + Send
            + 'static,
    {
        Watch::new(what.to_owned(), Api::all(self.client.clone()), watcher::Config::default())
    }

    /// Whether something is left to be written.
    async fn write(&self, reports: Vec<Report>) -> bool {
        let mut is_left = false;
        for report in reports {
            let pool = format!("{}/{}", report.namespace, report.name);
            match tokio::time::timeout(DEADLINE, self.write_one(&report)).await {
                Ok(Ok(())) => {
                    tracing::info!(pool, gateways = report.parents.len(), "a pool's status is written");
                }
                // Somebody else was faster; the watch brings what they wrote.
                Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => {}
                Ok(Err(error)) => {
                    is_left = true;
                    tracing::warn!(
                        pool,
                        error = &error as &dyn std::error::Error,
                        "a pool's status is not written"
                    );
                }
                Err(_) => {
                    is_left = true;
                    tracing::warn!(pool, "the API server does not take a pool's status within {DEADLINE:?}");
                }
            }
        }
        is_left
    }

    async fn write_one(&self, report: &Report) -> Result<(), kube::Error> {
        let pools: Api<InferencePool> = Api::namespaced(self.client.clone(), &report.namespace);
        let status = json!({
            "metadata": { "resourceVersion": report.resource_version },
            "status": { "parents": report.parents },
        });
        pools.patch_status(&report.name, &PatchParams::default(), &Patch::Merge(status)).await.map(drop)
    }
}

/// Waits until then; for ever when there is no such time.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
