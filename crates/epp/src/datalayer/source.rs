//! `metrics-data-source`: where an endpoint's metrics are and how often they are read.

use std::time::Duration;

use http::uri::PathAndQuery;
use llmd_common::flag_value::parse_duration;
use serde::Deserialize;

use crate::config::ConfigError;
use crate::config::build::Build;
use crate::plugin::Extension;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Parameters {
    scheme: String,
    path: String,
    interval: Option<String>,
    // Only of use with https.
    #[serde(rename = "insecureSkipVerify")]
    _insecure_skip_verify: bool,
    // The scanner skips unwanted families anyway.
    #[serde(rename = "families")]
    _families: Vec<String>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            scheme: "http".to_owned(),
            path: "/metrics".to_owned(),
            interval: None,
            _insecure_skip_verify: true,
            _families: Vec::new(),
        }
    }
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsSource {
    /// Path on the endpoint's own address.
    pub path: PathAndQuery,
    /// Overrides the process-wide interval.
    pub interval: Option<Duration>,
}

pub(crate) fn build(build: &mut Build<'_, '_>) -> Result<Extension, ConfigError> {
    let Parameters { scheme, path, interval, .. } = build.parameters()?;
    if scheme != "http" {
        return Err(build.invalid("scheme", "must be http: metrics over TLS are not supported"));
    }
    let path: PathAndQuery = path
        .parse()
        .ok()
        .filter(|_| path.starts_with('/'))
        .ok_or_else(|| build.invalid("path", "must be an absolute path such as /metrics"))?;
    let interval = interval.map(|text| parse_interval(&text, build)).transpose()?;
    Ok(Extension::MetricsSource(MetricsSource { path, interval }))
}

fn parse_interval(text: &str, build: &Build<'_, '_>) -> Result<Duration, ConfigError> {
    let interval = parse_duration(text).ok().filter(|it| !it.is_zero());
    interval.ok_or_else(|| build.invalid("interval", "must be a positive duration such as 50ms or 1s"))
}
