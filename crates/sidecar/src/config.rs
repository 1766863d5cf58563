//! What the process runs with: checked, in final types.
//!
//! A setting is taken from the first layer that has it: flag, YAML, environment, default. Whatever belongs to a
//! feature that is not built is refused here, so that nobody runs with less than the command line says.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use llmd_common::flag_value::parse_bool;
use llmd_common::telemetry::LogFormat;

use crate::args::{Args, Env, LoggingFlags, Stage, YamlError};
use crate::connector::Connector;

mod layers;
pub mod pool;
#[cfg(test)]
mod tests;
mod unsupported;

use layers::{Layers, pick};
use pool::SsrfProtection;

/// Everything the process needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Address that the listeners bind.
    pub host: IpAddr,
    /// Listen port of rank 0; 0 = any free port, for every rank.
    pub port: u16,
    /// Port of the local engine of rank 0.
    pub model_server_port: u16,
    /// Local data-parallel ranks, at least 1.
    pub data_parallel_size: u16,
    /// This pod's address in data-parallel headers; empty when unknown.
    pub pod_ip: String,
    /// How prefill and decode share the KV cache.
    pub connector: Connector,
    /// TLS of the listeners.
    pub serving_tls: ServingTls,
    /// TLS to prefill engines.
    pub prefiller_tls: LegTls,
    /// TLS to the local engine.
    pub decoder_tls: LegTls,
    /// Root certificates for both; the system's when absent.
    pub ca_path: Option<PathBuf>,
    /// Limits of the connections to engines.
    pub upstream: UpstreamLimits,
    /// The prefill leg.
    pub prefill: PrefillConfig,
    /// Which prefill endpoints may be called; all when absent.
    pub ssrf_protection: Option<SsrfProtection>,
    /// Limit until the local engine's response begins, and until each next piece of it.
    pub response_timeout: Option<Duration>,
    /// Largest request or prefill answer that is buffered, in bytes.
    pub max_body_bytes: usize,
    /// Port of the sidecar's own metrics.
    pub metrics_port: Option<u16>,
    /// Time between not ready and the last accepted connection.
    pub shutdown_delay: Duration,
    /// Time that requests in flight get at shutdown.
    pub shutdown_timeout: Duration,
    /// Look of log lines.
    pub log_format: LogFormat,
    /// Lowest level of log lines.
    pub log_level: &'static str,
}

/// TLS of the listeners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServingTls {
    /// Plain HTTP.
    Off,
    /// A certificate made at start.
    SelfSigned,
    /// `tls.crt` and `tls.key` of a folder.
    Folder(PathBuf),
}

/// TLS to engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LegTls {
    /// Plain HTTP.
    Off,
    /// The engine's certificate is checked.
    Verified,
    /// It is not.
    Unverified,
}

/// Limits of the connections to engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpstreamLimits {
    /// For one TCP connection to come about.
    pub connect_timeout: Duration,
    /// Idle connections kept per engine.
    pub max_idle_per_host: usize,
}

/// The prefill leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrefillConfig {
    /// Attempts at one endpoint beyond the first.
    pub max_retries: u32,
    /// Wait before each of them.
    pub retry_backoff: Duration,
    /// Limit of the whole leg.
    pub timeout: Option<Duration>,
    /// Start at a random candidate.
    pub is_sampling: bool,
    /// What happens after the last attempt.
    pub failure_policy: FailurePolicy,
}

/// What happens when a prefill endpoint cannot be reached or answers 502, 503 or 504 to the last attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FailurePolicy {
    /// The client gets the failure.
    #[default]
    Error,
    /// The decode engine computes the prompt itself.
    Local,
    /// The header's further endpoints are tried; the client gets the last one's failure.
    NextCandidate,
}

impl FromStr for FailurePolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "error" => Ok(Self::Error),
            "local" => Ok(Self::Local),
            "next-candidate" => Ok(Self::NextCandidate),
            _ => Err("use error, local or next-candidate".to_owned()),
        }
    }
}

/// Why the process cannot start with what it was given.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The YAML layer.
    #[error(transparent)]
    Yaml(#[from] YamlError),
    /// A value makes no sense.
    #[error("invalid value {value:?} for --{flag}: {hint}")]
    Invalid {
        /// The flag.
        flag: &'static str,
        /// What it was given.
        value: String,
        /// What to give instead.
        hint: String,
    },
    /// A feature that is not built.
    #[error("not supported: --{flag}: {hint}")]
    NotSupported {
        /// The flag.
        flag: &'static str,
        /// What to do.
        hint: String,
    },
}

impl ConfigError {
    fn invalid(flag: &'static str, value: &dyn ToString, hint: impl Into<String>) -> Self {
        Self::Invalid { flag, value: value.to_string(), hint: hint.into() }
    }
}

impl Config {
    /// Merges and checks the layers.
    ///
    /// # Errors
    /// The first setting that is invalid or not supported.
    pub fn new(args: Args, env: &Env) -> Result<Self, ConfigError> {
        let yaml = args.yaml()?;
        let Args { flags, moriio, logging, configuration: _, configuration_file: _, ignored: _ } = args;
        let layers = Layers { flags, yaml };
        unsupported::check(&layers, &moriio)?;

        let data_parallel_size = pick!(layers, data_parallel_size).unwrap_or(1);
        let (port, model_server_port) = (pick!(layers, port).unwrap_or(8000), layers.model_server_port());
        check_ranks(data_parallel_size, port, model_server_port)?;
        let (log_format, log_level) = logging_settings(&logging)?;
        Ok(Self {
            host: pick!(layers, host).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            port,
            model_server_port,
            data_parallel_size,
            pod_ip: env.pod_ip.clone().unwrap_or_default(),
            connector: layers.connector()?,
            serving_tls: serving_tls(&layers),
            prefiller_tls: layers.leg_tls(Stage::Prefiller),
            decoder_tls: layers.leg_tls(Stage::Decoder),
            ca_path: pick!(layers, ca_path),
            upstream: UpstreamLimits {
                connect_timeout: pick!(layers, connect_timeout).unwrap_or(Duration::from_secs(5)),
                max_idle_per_host: pick!(layers, max_idle_conns_per_host).unwrap_or(1024),
            },
            prefill: prefill(&layers, env)?,
            ssrf_protection: pool::ssrf_protection(&layers, env)?,
            response_timeout: limit(pick!(layers, response_timeout).unwrap_or(Duration::from_secs(3600))),
            max_body_bytes: pick!(layers, max_body_bytes).unwrap_or(64 << 20),
            metrics_port: metrics_port(&layers, env)?,
            shutdown_delay: pick!(layers, shutdown_delay).unwrap_or_default(),
            shutdown_timeout: pick!(layers, shutdown_timeout).unwrap_or(Duration::from_secs(60)),
            log_format,
            log_level,
        })
    }
}

/// A duration flag for which 0 means no limit.
fn limit(duration: Duration) -> Option<Duration> {
    (!duration.is_zero()).then_some(duration)
}

fn check_ranks(size: u16, port: u16, model_server_port: u16) -> Result<(), ConfigError> {
    let fits = |first: u16| first.checked_add(size.saturating_sub(1)).is_some();
    if size == 0 {
        return Err(ConfigError::invalid("data-parallel-size", &size, "use 1 or more"));
    }
    if !fits(port) {
        return Err(ConfigError::invalid("port", &port, format!("{size} ranks need ports up to 65535")));
    }
    if model_server_port == 0 || !fits(model_server_port) {
        let hint = format!("{size} ranks need ports between 1 and 65535");
        return Err(ConfigError::invalid("model-server-port", &model_server_port, hint));
    }
    Ok(())
}

fn serving_tls(layers: &Layers) -> ServingTls {
    match (pick!(layers, secure_proxy).unwrap_or(true), pick!(layers, cert_path)) {
        (false, _) => ServingTls::Off,
        (true, Some(folder)) if !folder.as_os_str().is_empty() => ServingTls::Folder(folder),
        (true, _) => ServingTls::SelfSigned,
    }
}

fn prefill(layers: &Layers, env: &Env) -> Result<PrefillConfig, ConfigError> {
    let max_retries = pick!(layers, prefill_max_retries).unwrap_or(0);
    let retry_backoff = pick!(layers, prefill_retry_backoff).unwrap_or(Duration::from_millis(200));
    if max_retries > 0 && retry_backoff.is_zero() {
        return Err(ConfigError::invalid("prefill-retry-backoff", &"0", "use more than 0 with retries"));
    }
    let policy = pick!(layers, prefill_failure_policy).unwrap_or_else(|| "error".to_owned());
    let sampling = pick!(layers, enable_prefiller_sampling);
    let from_env = |text: &String| {
        parse_bool(text).map_err(|hint| ConfigError::invalid("enable-prefiller-sampling", &text, hint))
    };
    Ok(PrefillConfig {
        max_retries,
        retry_backoff,
        timeout: limit(pick!(layers, prefill_timeout).unwrap_or(Duration::from_secs(600))),
        is_sampling: match (sampling, &env.enable_prefiller_sampling) {
            (Some(it), _) => it,
            (None, Some(text)) => from_env(text)?,
            (None, None) => false,
        },
        failure_policy: policy
            .parse()
            .map_err(|hint: String| ConfigError::invalid("prefill-failure-policy", &policy, hint))?,
    })
}

fn metrics_port(layers: &Layers, env: &Env) -> Result<Option<u16>, ConfigError> {
    let port = match (pick!(layers, metrics_port), &env.metrics_address) {
        (Some(port), _) => port,
        (None, Some(address)) => {
            let port = address.rsplit(':').next().and_then(|it| it.parse().ok());
            port.ok_or_else(|| {
                ConfigError::invalid("metrics-port", &address, "MORIIO_METRICS_ADDR needs a :port")
            })?
        }
        (None, None) => 0,
    };
    Ok((port != 0).then_some(port))
}

fn logging_settings(logging: &LoggingFlags) -> Result<(LogFormat, &'static str), ConfigError> {
    let LoggingFlags {
        zap_encoder,
        zap_log_level,
        zap_devel,
        zap_stacktrace_level: _,
        zap_time_encoding: _,
        verbosity,
    } = logging;
    let is_devel = zap_devel.unwrap_or(false);
    let format = match zap_encoder {
        Some(name) => {
            name.parse().map_err(|hint: String| ConfigError::invalid("zap-encoder", &name, hint))?
        }
        None if is_devel => LogFormat::Text,
        None => LogFormat::Json,
    };
    let by_verbosity = |verbosity: u8| match verbosity {
        0 | 1 => "info",
        2..=4 => "debug",
        5.. => "trace",
    };
    let level = match (zap_log_level.as_deref(), verbosity) {
        (Some("debug"), _) => "debug",
        (Some("info"), _) => "info",
        (Some("error" | "panic"), _) => "error",
        (Some(text), _) => {
            let hint = "use debug, info, error, panic or a number";
            by_verbosity(text.parse().map_err(|_| ConfigError::invalid("zap-log-level", &text, hint))?)
        }
        (None, Some(verbosity)) => by_verbosity(*verbosity),
        (None, None) if is_devel => "debug",
        (None, None) => "info",
    };
    Ok((format, level))
}
