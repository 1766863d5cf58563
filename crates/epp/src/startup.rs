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
use crate::metrics::Metrics;

/// What the process decides, beside the configuration file.
#[derive(Debug, Clone)]
pub struct Options {
    /// Labels pool-wide metrics.
    pub pool_name: String,
    /// Time between two scrapes of an endpoint.
    pub refresh_interval: Duration,
    /// Time between two updates of the pool-wide gauges.
    pub gauge_interval: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            pool_name: String::new(),
            refresh_interval: Duration::from_millis(50),
            gauge_interval: Duration::from_secs(5),
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
        "no endpoint discovery is configured: add a file-discovery plugin and name it in dataLayer.discovery.pluginRef"
    )]
    NoDiscovery,
    /// The first endpoint list cannot be read.
    #[error("cannot load the endpoints")]
    Discovery(#[from] DiscoveryError),
}

/// Loads plugins, reads the endpoints once and keeps them and their metrics fresh until `shutdown` drains.
/// Adds its condition `endpoints` to `readiness` and its series to `registry`. Call inside a Tokio runtime.
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
    let Options { pool_name, refresh_interval, gauge_interval } = options;
    let loaded = readiness.condition("endpoints", "no endpoint list was read yet");
    let metrics = Metrics::new(registry, &pool_name);
    let mut graph = Graph::load(&config, &metrics)?;
    let discovery = graph.discovery.take().ok_or(StartError::NoDiscovery)?;
    let scraping = graph.scraping.take();
    let datastore = Arc::new(Datastore::default());
    let director = Arc::new(Director::new(Arc::clone(&datastore), graph, Arc::clone(&metrics)));
    discovery.start(Arc::clone(&datastore), shutdown).await?;
    if let Some((source, extractor)) = scraping {
        let scraping = Scraping { source, extractor, interval: refresh_interval };
        datalayer::start(datastore, scraping, &metrics, shutdown);
    }
    keep_refreshed(Arc::clone(&director), gauge_interval, shutdown);
    loaded.ready();
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
