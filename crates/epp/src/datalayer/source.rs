//! `metrics-data-source`: where an endpoint's metrics are and how often they are read.

use std::time::Duration;

use http::uri::PathAndQuery;
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

/// Reads a duration as Go writes it, such as `1m30s` or `50ms`.
fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let (number, tail) = rest.split_at(rest.find(|it: char| !it.is_ascii_digit() && it != '.')?);
        let (unit, tail) = tail.split_at(tail.find(|it: char| it.is_ascii_digit()).unwrap_or(tail.len()));
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        total =
            total.checked_add(Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?)?;
        rest = tail;
    }
    (!total.is_zero()).then_some(total)
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
    let interval = match interval {
        None => None,
        Some(text) => Some(
            parse_duration(&text)
                .ok_or_else(|| build.invalid("interval", "must be a positive duration such as 50ms or 1s"))?,
        ),
    };
    Ok(Extension::MetricsSource(MetricsSource { path, interval }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_go_durations() {
        assert_eq!(parse_duration("50ms"), Some(Duration::from_millis(50)));
        assert_eq!(parse_duration("1m30s"), Some(Duration::from_secs(90)));
        assert_eq!(parse_duration("1.5h"), Some(Duration::from_secs(5400)));
        for wrong in ["", "0s", "5", "s", "1d", "-1s"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }
}
