//! Types that configurations name and that have no effect here.
//!
//! The policies and the saturation detector belong to flow control: without it, and with every request at
//! priority 0, they decide nothing in the llm-d router either. The header handlers are deprecated there, because
//! `disagg-profile-handler` sets the headers itself.

use serde::Deserialize;

use crate::config::ConfigError;
use crate::config::build::Build;
use crate::plugin::Extension;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoParameters {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct HeadersHandler {
    #[serde(default, rename = "prefillProfile")]
    _prefill_profile: Option<String>,
    #[serde(default, rename = "encodeProfile")]
    _encode_profile: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct UtilizationDetector {
    #[serde(default, rename = "queueDepthThreshold")]
    _queue_depth_threshold: Option<u32>,
    #[serde(default, rename = "kvCacheUtilThreshold")]
    _kv_cache_util_threshold: Option<f64>,
    #[serde(default, rename = "metricsStalenessThreshold")]
    _metrics_staleness_threshold: Option<String>,
    #[serde(default, rename = "headroom")]
    _headroom: Option<f64>,
}

/// Builds a flow-control policy without parameters.
pub(crate) fn build(build: &mut Build<'_, '_>) -> Result<Extension, ConfigError> {
    build.parameters::<NoParameters>().map(|_| Extension::Inert)
}

/// Builds `disagg-headers-handler` or `prefill-header-handler`.
pub(crate) fn build_headers_handler(build: &mut Build<'_, '_>) -> Result<Extension, ConfigError> {
    build.parameters::<HeadersHandler>().map(|_| Extension::Inert)
}

/// Builds `utilization-detector`.
pub(crate) fn build_utilization_detector(build: &mut Build<'_, '_>) -> Result<Extension, ConfigError> {
    build.parameters::<UtilizationDetector>().map(|_| Extension::Inert)
}
