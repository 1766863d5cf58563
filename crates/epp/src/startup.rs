//! Puts the endpoint picker's inside together: plugins, discovery, scraping, director.

use std::sync::Arc;
use std::time::Duration;

use llmd_common::ready::Readiness;
use llmd_common::shutdown::Shutdown;
use prometheus::Registry;
use tokio::time::MissedTickBehavior;

use crate::config::graph::Graph;
use crate::config::{ConfigError, EndpointPickerConfig};
use crate::datalayer::{self, Scraping};
use crate::datastore::Datastore;
use crate::director::Director;
use crate::discovery::file::DiscoveryError;
use crate::kubernetes::{self, Cluster};
use crate::metrics::Metrics;
use crate::policies::Policies;

/// What the process decides, beside the configuration file.
#[derive(Debug, Clone)]
pub struct Options {
    /// Labels pool-wide metrics.
    pub pool_name: String,
    /// Time between two scrapes of an endpoint.
    pub refresh_interval: Duration,
    /// Time between two updates of the pool-wide gauges.
    pub gauge_interval: Duration,
    /// Where endpoints come from when the configuration names no discovery plugin.
    pub cluster: Option<Cluster>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            pool_name: String::new(),
            refresh_interval: Duration::from_millis(50),
            gauge_interval: Duration::from_secs(5),
            cluster: None,
        }
    }
}

/// Why the endpoint picker cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is wrong.
    #[error("cannot use the endpoint picker configuration")]
    Config(#[from] ConfigError),
    /// The configuration does not say where endpoints are.
    #[error(
        "nothing says where endpoints are: give --pool-name, or --endpoint-selector with --endpoint-target-ports, in a \
         cluster; or add a file-discovery plugin and name it in dataLayer.discovery.pluginRef"
    )]
    NoDiscovery,
    /// The first endpoint list cannot be read.
    #[error("cannot load the endpoints")]
    Discovery(#[from] DiscoveryError),
}

/// Loads plugins, reads the endpoints once and keeps them and their metrics fresh until `shutdown` drains.
/// Adds conditions about the endpoints to `readiness` and its series to `registry`. Call inside a Tokio runtime.
///
/// # Errors
/// [`StartError`] when the configuration is wrong or the first endpoint list cannot be read.
pub async fn start(
    config: EndpointPickerConfig,
    options: Options,
    shutdown: &Shutdown,
    readiness: &Readiness,
    registry: &Registry,
) -> Result<Arc<Director>, StartError> {
    let Options { pool_name, refresh_interval, gauge_interval, cluster } = options;
    let metrics = Metrics::new(registry, &pool_name);
    let mut graph = Graph::load(&config, &metrics)?;
    let (discovery, scraping) = (graph.discovery.take(), graph.scraping.take());
    let reads_adapters = graph.reads_adapters;
    let (datastore, policies) = (Arc::new(Datastore::default()), Arc::new(Policies::default()));
    let director =
        Arc::new(Director::new(Arc::clone(&datastore), graph, Arc::clone(&policies), Arc::clone(&metrics)));
    match (discovery, cluster) {
        (Some(file), _) => {
            let loaded = readiness.condition("endpoints", "no endpoint list was read yet");
            file.start(Arc::clone(&datastore), shutdown).await?;
            loaded.ready();
        }
        (None, Some(cluster)) => {
            let datastore = Arc::clone(&datastore);
            kubernetes::start(&cluster, datastore, &policies, readiness, shutdown);
        }
        (None, None) => return Err(StartError::NoDiscovery),
    }
    if let Some((source, extractor)) = scraping {
        let scraping = Scraping { source, extractor, reads_adapters, interval: refresh_interval };
        datalayer::start(datastore, scraping, &metrics, shutdown);
    }
    keep_refreshed(Arc::clone(&director), gauge_interval, shutdown);
    Ok(director)
}

fn keep_refreshed(director: Arc<Director>, interval: Duration, shutdown: &Shutdown) {
    let draining = shutdown.draining().clone();
    shutdown.spawn(async move {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = draining.cancelled() => return,
                _ = ticks.tick() => director.refresh(),
            }
        }
    });
}

#[cfg(test)]
mod tests;
