//! What the process runs with: flags checked against each other and turned into final types.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use llmd_common::flag_value::parse_bytes;
use llmd_common::telemetry::LogFormat;
use serde_json::{Map, Value, json};

use super::{Args, kubernetes};
use crate::kubernetes::Kubernetes;

/// Largest gRPC message received when no flag says otherwise: the default of gRPC itself.
const GRPC_MAX_RECV_BYTES: usize = 4 << 20;
/// Fastest metrics scraping that the peers allow; a bound for other periods too.
const MIN_SCRAPE_INTERVAL: Duration = Duration::from_millis(50);

/// Why a command line cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Two flags that say the same thing differently.
    #[error("{0} and {1} exclude each other: leave one out")]
    Exclusive(&'static str, &'static str),
    /// A flag that means nothing without another.
    #[error("{flag} needs {needs}")]
    Missing {
        /// The flag that was given.
        flag: &'static str,
        /// What it needs.
        needs: &'static str,
    },
    /// A flag of a feature that this build does not have.
    #[error("not supported: {flag}; {instead}")]
    NotSupported {
        /// The flag as typed.
        flag: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
    /// A flag whose value cannot be read.
    #[error("{flag} {value:?}: {problem}")]
    Invalid {
        /// The flag.
        flag: &'static str,
        /// Its value.
        value: String,
        /// What is wrong, and what to write.
        problem: String,
    },
}

/// Where the EndpointPickerConfig comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigSource {
    /// Nowhere: the default configuration.
    Default,
    /// A file to read.
    File(PathBuf),
    /// The text itself.
    Text(String),
}

/// Ports to bind; 0 means any free one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// ext_proc.
    pub grpc: u16,
    /// gRPC health in plain text.
    pub health: u16,
    /// Metrics and debug pages.
    pub metrics: u16,
    /// Native HTTP proxy; `None` = off.
    pub proxy: Option<u16>,
}

/// How the ext_proc port is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// Plain text (h2c).
    Off,
    /// A certificate made at start.
    SelfSigned,
    /// `tls.crt` and `tls.key` of a folder.
    Folder {
        /// The folder.
        path: PathBuf,
        /// Read again when the files change.
        reload: bool,
    },
}

/// Timing of the metrics that decisions use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScrapeTimes {
    /// Between two reads of one endpoint.
    pub interval: Duration,
    /// Between two updates of the pool's gauges.
    pub pool_gauges: Duration,
}

/// The checked command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Address that every listener binds.
    pub host: IpAddr,
    /// Ports to bind.
    pub ports: Ports,
    /// The EndpointPickerConfig.
    pub config: ConfigSource,
    /// Pool name as metrics label it.
    pub pool_name: String,
    /// Where endpoints come from, unless the configuration names a discovery plugin.
    pub kubernetes: Option<Kubernetes>,
    /// Parameters of `metrics-data-source` for configurations that do not give them.
    pub metrics_source: Map<String, Value>,
    /// Whether the gateway's candidate subset is obeyed.
    pub obey_subset: bool,
    /// Protection of the ext_proc port.
    pub tls: Tls,
    /// Largest gRPC message received, in bytes.
    pub max_recv_bytes: usize,
    /// Largest gRPC message sent, in bytes.
    pub max_send_bytes: usize,
    /// gRPC health on the ext_proc port too.
    pub health_on_grpc_port: bool,
    /// Largest request body in bytes.
    pub max_request_body_bytes: usize,
    /// Until an endpoint's response to the native proxy begins, and until each next piece of it.
    pub response_timeout: Option<Duration>,
    /// Timing of metrics.
    pub scrape: ScrapeTimes,
    /// Between readiness off and the first refused connection.
    pub shutdown_delay: Duration,
    /// For requests in flight at shutdown.
    pub drain_timeout: Duration,
    /// Form of log lines.
    pub log_format: LogFormat,
    /// `tracing` directives.
    pub log_filter: String,
    /// Counters of gRPC streams.
    pub stream_metrics: bool,
}

impl TryFrom<Args> for Settings {
    type Error = Error;

    fn try_from(args: Args) -> Result<Self, Error> {
        refuse_unsupported(&args)?;
        // Destructuring without `..` makes a new flag a compile error until it is used or named here.
        let Args {
            host,
            grpc_port,
            grpc_health_port,
            metrics_port,
            proxy_port,
            config_file,
            config_text,
            pool_name,
            pool_namespace,
            pool_group,
            endpoint_selector,
            endpoint_target_ports,
            kubeconfig,
            pod_name,
            ha_enable_leader_election,
            metrics_endpoint_auth,
            model_server_metrics_scheme,
            model_server_metrics_path,
            model_server_metrics_port,
            model_server_metrics_https_insecure_skip_verify,
            disable_endpoint_subset_filter,
            secure_serving,
            cert_path,
            enable_cert_reload,
            grpc_max_recv_msg_size,
            grpc_max_send_msg_size,
            health_checking,
            max_request_body_bytes,
            response_timeout,
            refresh_metrics_interval,
            refresh_prometheus_metrics_interval,
            shutdown_delay,
            drain_timeout,
            enable_grpc_stream_metrics,
            verbosity,
            zap_encoder,
            zap_log_level,
            // Accepted because deployments pass them; they concern Go, or plugins that this build does not have and
            // refuses by name.
            allow_experimental_plugins: _,
            metrics_staleness_threshold: _,
            enable_pprof: _,
            tracing: _,
            zap_devel: _,
            zap_stacktrace_level: _,
            zap_time_encoding: _,
            // Refused above when set.
            emit_endpoint_scores: _,
            tls_min_version: _,
            tls_cipher_suites: _,
            metrics_cert_dir: _,
            metrics_client_ca_file: _,
            total_queued_requests_metric: _,
            total_running_requests_metric: _,
            kv_cache_usage_percentage_metric: _,
            lora_info_metric: _,
            cache_info_metric: _,
            ignored: _,
        } = args;
        let kubernetes = kubernetes::check(kubernetes::Flags {
            kubeconfig,
            pool_name: pool_name.clone(),
            pool_namespace,
            pool_group,
            endpoint_selector,
            endpoint_target_ports,
            leader_election: ha_enable_leader_election,
            metrics_access: metrics_endpoint_auth,
            pod_name,
        })?;
        Ok(Self {
            host,
            ports: Ports {
                grpc: grpc_port,
                health: grpc_health_port,
                metrics: metrics_port,
                proxy: proxy_port,
            },
            config: config_source(config_file, config_text),
            pool_name: kubernetes.as_ref().map_or(pool_name, |it| it.pool_name.clone()),
            kubernetes,
            metrics_source: metrics_source(
                model_server_metrics_scheme,
                model_server_metrics_path,
                model_server_metrics_port,
                model_server_metrics_https_insecure_skip_verify,
            ),
            obey_subset: !disable_endpoint_subset_filter,
            tls: match (secure_serving, cert_path) {
                (false, _) => Tls::Off,
                (true, None) => Tls::SelfSigned,
                (true, Some(path)) => Tls::Folder { path, reload: enable_cert_reload },
            },
            max_recv_bytes: message_size("--grpc-max-recv-msg-size", grpc_max_recv_msg_size)?
                .unwrap_or(GRPC_MAX_RECV_BYTES),
            max_send_bytes: message_size("--grpc-max-send-msg-size", grpc_max_send_msg_size)?
                .unwrap_or(usize::MAX),
            health_on_grpc_port: health_checking,
            max_request_body_bytes,
            response_timeout: (!response_timeout.is_zero()).then_some(response_timeout),
            scrape: ScrapeTimes {
                interval: refresh_metrics_interval.max(MIN_SCRAPE_INTERVAL),
                pool_gauges: refresh_prometheus_metrics_interval.max(MIN_SCRAPE_INTERVAL),
            },
            shutdown_delay,
            drain_timeout,
            log_format: log_format(zap_encoder)?,
            log_filter: log_filter(verbosity, zap_log_level)?,
            stream_metrics: enable_grpc_stream_metrics,
        })
    }
}

const USE_ENGINE_CONFIGS: &str =
    "it was removed upstream: name the metric in engineConfigs of the configuration";

/// Refuses flags that would silently change nothing although somebody relies on them.
fn refuse_unsupported(args: &Args) -> Result<(), Error> {
    let tls_too_strict =
        !matches!(args.tls_min_version.as_str(), "" | "VersionTLS10" | "VersionTLS11" | "VersionTLS12");
    let unsupported = [
        (
            "--emit-endpoint-scores",
            args.emit_endpoint_scores,
            "the scores of each decision are at /debug/decisions on the metrics port",
        ),
        ("--tls-min-version", tls_too_strict, "TLS 1.2 and 1.3 are served; leave the flag out"),
        ("--tls-cipher-suites", !args.tls_cipher_suites.is_empty(), "the library's safe suites are served"),
        ("--metrics-cert-dir", !args.metrics_cert_dir.is_empty(), "the metrics port serves plain text"),
        (
            "--metrics-client-ca-file",
            !args.metrics_client_ca_file.is_empty(),
            "the metrics port serves plain text",
        ),
        ("--total-queued-requests-metric", args.total_queued_requests_metric.is_some(), USE_ENGINE_CONFIGS),
        ("--total-running-requests-metric", args.total_running_requests_metric.is_some(), USE_ENGINE_CONFIGS),
        (
            "--kv-cache-usage-percentage-metric",
            args.kv_cache_usage_percentage_metric.is_some(),
            USE_ENGINE_CONFIGS,
        ),
        ("--lora-info-metric", args.lora_info_metric.is_some(), USE_ENGINE_CONFIGS),
        ("--cache-info-metric", args.cache_info_metric.is_some(), USE_ENGINE_CONFIGS),
    ];
    match unsupported.into_iter().find(|(_, is_set, _)| *is_set) {
        Some((flag, _, instead)) => Err(Error::NotSupported { flag, instead }),
        None => Ok(()),
    }
}

fn config_source(file: Option<PathBuf>, text: Option<String>) -> ConfigSource {
    match (file, text) {
        (Some(file), _) => ConfigSource::File(file),
        (None, Some(text)) => ConfigSource::Text(text),
        (None, None) => ConfigSource::Default,
    }
}

/// The flags that were given, by the names of the parameters that replaced them.
fn metrics_source(
    scheme: Option<String>,
    path: Option<String>,
    port: Option<u16>,
    insecure_skip_verify: Option<bool>,
) -> Map<String, Value> {
    let given = [
        ("scheme", scheme.map(Value::from)),
        ("path", path.map(Value::from)),
        // 0 is the endpoint's own port, as when nothing is said.
        ("port", port.filter(|&it| it > 0).map(|it| json!(it))),
        ("insecureSkipVerify", insecure_skip_verify.map(Value::from)),
    ];
    given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// An empty value means the default, as upstream's own default is the empty text.
fn message_size(flag: &'static str, value: Option<String>) -> Result<Option<usize>, Error> {
    match value.filter(|it| !it.is_empty()) {
        None => Ok(None),
        Some(value) => match parse_bytes(&value) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(problem) => Err(Error::Invalid { flag, value, problem }),
        },
    }
}

fn log_format(zap_encoder: String) -> Result<LogFormat, Error> {
    let problem = "use json or console".to_owned();
    zap_encoder.parse().map_err(|_| Error::Invalid { flag: "--zap-encoder", value: zap_encoder, problem })
}

/// Maps klog verbosity, or zap's level where given, to `tracing` directives. Dependencies stay at `info`
/// until trace, since their debug lines are of no use to an operator.
fn log_filter(verbosity: u8, zap_log_level: Option<String>) -> Result<String, Error> {
    let ours = match zap_log_level {
        None => by_verbosity(verbosity),
        Some(level) => match level.as_str() {
            "debug" => "debug",
            "info" => "info",
            "error" | "panic" => "error",
            number => match number.parse() {
                Ok(verbosity) => by_verbosity(verbosity),
                Err(_) => {
                    let problem = "use debug, info, error, panic or a number".to_owned();
                    return Err(Error::Invalid { flag: "--zap-log-level", value: level, problem });
                }
            },
        },
    };
    Ok(match ours {
        "error" => "error".to_owned(),
        ours => format!("info,llmd_epp={ours},llmd_common={ours}"),
    })
}

const fn by_verbosity(verbosity: u8) -> &'static str {
    match verbosity {
        0..=3 => "info",
        4 => "debug",
        5.. => "trace",
    }
}
