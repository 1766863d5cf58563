//! `metrics-data-source`: where an endpoint's metrics are and how often they are read.

use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use llmd_common::flag_value::parse_duration;
use llmd_common::report::Report;
use llmd_common::tls::client::Trust;
use llmd_common::tls::{self, CertFiles};
use serde::Deserialize;
use tokio_rustls::rustls::ClientConfig;

use crate::config::ConfigError;
use crate::config::build::Build;
use crate::plugin::Extension;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Parameters {
    scheme: String,
    path: String,
    port: u16,
    interval: Option<String>,
    insecure_skip_verify: bool,
    ca_cert_path: String,
    client_cert_path: String,
    client_key_path: String,
    // The scanner skips unwanted families anyway.
    #[serde(rename = "families")]
    _families: Vec<String>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            scheme: "http".to_owned(),
            path: "/metrics".to_owned(),
            port: 0,
            interval: None,
            insecure_skip_verify: true,
            ca_cert_path: String::new(),
            client_cert_path: String::new(),
            client_key_path: String::new(),
            _families: Vec::new(),
        }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub struct MetricsSource {
    /// Path on the endpoint's address.
    pub path: PathAndQuery,
    /// Port there; `None` = the endpoint's own.
    pub port: Option<u16>,
    /// `None` = plain text.
    pub tls: Option<Arc<ClientConfig>>,
    /// Overrides the process-wide interval.
    pub interval: Option<Duration>,
}

pub(crate) fn build(build: &mut Build<'_, '_>) -> Result<Extension, ConfigError> {
    let parameters: Parameters = build.parameters()?;
    let tls = match parameters.scheme.as_str() {
        "http" => None,
        "https" => Some(client_config(&parameters, build)?),
        _ => return Err(build.invalid("scheme", "must be http or https")),
    };
    let Parameters { path, port, interval, .. } = parameters;
    let path: PathAndQuery = path
        .parse()
        .ok()
        .filter(|_| path.starts_with('/'))
        .ok_or_else(|| build.invalid("path", "must be an absolute path such as /metrics"))?;
    let interval = interval.map(|text| parse_interval(&text, build)).transpose()?;
    Ok(Extension::MetricsSource(MetricsSource { path, port: (port > 0).then_some(port), tls, interval }))
}

/// An authority that is given is what counts, whatever else is said: who names one means it.
fn client_config(parameters: &Parameters, build: &Build<'_, '_>) -> Result<Arc<ClientConfig>, ConfigError> {
    let Parameters { insecure_skip_verify, ca_cert_path, client_cert_path, client_key_path, .. } = parameters;
    let (trust, field) = match (ca_cert_path.as_str(), insecure_skip_verify) {
        ("", true) => (Trust::Anybody, "clientCertPath"),
        ("", false) => (Trust::System, "insecureSkipVerify"),
        (path, _) => (Trust::Authority(path.into()), "caCertPath"),
    };
    let identity = match (client_cert_path.as_str(), client_key_path.as_str()) {
        ("", "") => None,
        ("", _) | (_, "") => {
            return Err(build.invalid("clientCertPath", "and clientKeyPath need each other"));
        }
        (cert, key) => Some(CertFiles { cert: cert.into(), key: key.into() }),
    };
    let config = tls::client::config(&trust, identity.as_ref());
    config.map(Arc::new).map_err(|error| build.invalid(field, &format!("cannot be used: {}", Report(&error))))
}

fn parse_interval(text: &str, build: &Build<'_, '_>) -> Result<Duration, ConfigError> {
    let interval = parse_duration(text).ok().filter(|it| !it.is_zero());
    interval.ok_or_else(|| build.invalid("interval", "must be a positive duration such as 50ms or 1s"))
}
