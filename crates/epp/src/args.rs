//! Command-line flags, spelled and parsed as the upstream endpoint picker's (pflag rules: `--x v`, `--x=v`,
//! booleans `--x` or `--x=false`, the last one wins).
//!
//! [`Args`] is what was typed. [`Settings`] is what the process runs with: checked, in final types, and
//! without the flags of features this build does not have, each of which is a start-up error that says what
//! to do. Nothing else in this crate reads flags or the environment.

use std::any::TypeId;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use clap::ArgAction::Set;
use clap::{CommandFactory, FromArgMatches, Parser};
use llmd_common::flag_value::{parse_bool, parse_bytes, parse_duration};

pub mod extension;
mod kubernetes;
mod settings;

pub use extension::ExtensionArgs;
pub use settings::{ConfigSource, Error, Ports, ScrapeTimes, Settings, Tls};

/// Endpoint picker: chooses the model server of each request, for Envoy's ext_proc and for its own proxy.
#[derive(Debug, Clone, Parser)]
#[command(name = "llmd-epp", version = llmd_common::build_info::VERSION, args_override_self = true)]
pub struct Args {
    /// Address that every listener binds.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    pub host: IpAddr,
    /// Port of the ext_proc service; 0 picks a free port here and on every other port flag.
    #[arg(long, default_value_t = 9002)]
    pub grpc_port: u16,
    /// Port of the plain-text gRPC health service.
    #[arg(long, default_value_t = 9003)]
    pub grpc_health_port: u16,
    /// Port of metrics, liveness, readiness and the decision log.
    #[arg(long, default_value_t = 9090)]
    pub metrics_port: u16,
    /// Port of the native HTTP proxy; absent = no proxy.
    #[arg(long)]
    pub proxy_port: Option<u16>,

    /// File with the EndpointPickerConfig.
    #[arg(long, conflicts_with = "config_text")]
    pub config_file: Option<PathBuf>,
    /// The EndpointPickerConfig itself. Without file and text: shortest queue, emptiest cache and longest prefix.
    #[arg(long)]
    pub config_text: Option<String>,
    /// Name of the InferencePool. With file-discovery in the configuration it only labels metrics.
    #[arg(long, default_value = "")]
    pub pool_name: String,
    /// Namespace of the InferencePool, its pods, objectives and rewrites; empty = default.
    #[arg(long, env = "NAMESPACE", default_value = "default")]
    pub pool_namespace: String,
    /// API group of the InferencePool: inference.networking.k8s.io or inference.networking.x-k8s.io.
    #[arg(long, default_value = "inference.networking.k8s.io")]
    pub pool_group: String,
    /// Label selector of the endpoints' pods, for clusters without InferencePools; needs --endpoint-target-ports.
    #[arg(long, default_value = "")]
    pub endpoint_selector: String,
    /// Ports of the selected pods, one to eight, with commas; each port of a pod is an endpoint.
    #[arg(long, default_value = "")]
    pub endpoint_target_ports: String,
    /// File that says how to reach the API server; absent = KUBECONFIG, ~/.kube/config or the pod's service account.
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
    /// Name of this pod, which the replicas of one Deployment have in common but for its end.
    #[arg(long, env = "POD_NAME", default_value = "", hide = true)]
    pub pod_name: String,
    /// Ignore the gateway's subset of candidate endpoints.
    #[arg(long, action = Set, default_value_t = false, value_parser = parse_bool)]
    pub disable_endpoint_subset_filter: bool,
    /// Report each candidate's score in the dynamic metadata (not supported).
    #[arg(long, action = Set, default_value_t = false, value_parser = parse_bool)]
    pub emit_endpoint_scores: bool,
    /// Accept plugins of Alpha stability; there are none.
    #[arg(long, action = Set, default_value_t = false, value_parser = parse_bool)]
    pub allow_experimental_plugins: bool,

    /// Serve ext_proc with TLS; a self-signed certificate is made unless --cert-path is given.
    #[arg(long, action = Set, default_value_t = true, value_parser = parse_bool)]
    pub secure_serving: bool,
    /// Folder with tls.crt and tls.key for ext_proc.
    #[arg(long)]
    pub cert_path: Option<PathBuf>,
    /// Read the certificate again when its files change.
    #[arg(long, action = Set, default_value_t = false, value_parser = parse_bool)]
    pub enable_cert_reload: bool,
    /// Lowest TLS version, by Go's name.
    #[arg(long, default_value = "")]
    pub tls_min_version: String,
    /// TLS cipher suites, by Go's names (not supported).
    #[arg(long, default_value = "")]
    pub tls_cipher_suites: String,
    /// Largest gRPC message received, as a quantity (default 4Mi).
    #[arg(long)]
    pub grpc_max_recv_msg_size: Option<String>,
    /// Largest gRPC message sent, as a quantity (default unlimited).
    #[arg(long)]
    pub grpc_max_send_msg_size: Option<String>,
    /// Serve grpc.health.v1 on the ext_proc port too.
    #[arg(long, action = Set, default_value_t = false, value_parser = parse_bool)]
    pub health_checking: bool,
    /// Largest request body in bytes, as a quantity; larger ones are answered 413.
    #[arg(long, default_value = "32Mi", value_parser = parse_bytes)]
    pub max_request_body_bytes: usize,
    /// Limit of the native proxy until an endpoint's response begins, which for an answer that is not streamed is
    /// its end, and until each next piece of it; 0 = none.
    #[arg(long, default_value = "1h", value_parser = parse_duration)]
    pub response_timeout: Duration,

    /// Time between two reads of an endpoint's metrics; at least 50ms.
    #[arg(long, default_value = "50ms", value_parser = parse_duration)]
    pub refresh_metrics_interval: Duration,
    /// Time between two updates of the pool's own gauges; at least 50ms.
    #[arg(long, default_value = "5s", value_parser = parse_duration)]
    pub refresh_prometheus_metrics_interval: Duration,
    /// Scheme of the endpoints' metrics, for configurations that do not say it: http or https.
    #[arg(long)]
    pub model_server_metrics_scheme: Option<String>,
    /// Path of the endpoints' metrics, for configurations that do not say it.
    #[arg(long)]
    pub model_server_metrics_path: Option<String>,
    /// Port of the endpoints' metrics, for configurations that do not say it; 0 = the endpoint's own.
    #[arg(long)]
    pub model_server_metrics_port: Option<u16>,
    /// Read metrics over https from endpoints whose certificate is not known, for configurations that do not say it.
    #[arg(long, action = Set, num_args = 0..=1, value_parser = parse_bool)]
    pub model_server_metrics_https_insecure_skip_verify: Option<bool>,
    /// Age at which an endpoint's metrics no longer count for flow control; there is none.
    #[arg(long, default_value = "2s", value_parser = parse_duration)]
    pub metrics_staleness_threshold: Duration,
    /// Time between NOT_SERVING and the first refused connection, so that gateways notice.
    #[arg(long, default_value = "0s", value_parser = parse_duration)]
    pub shutdown_delay: Duration,
    /// Time that requests in flight get to finish at shutdown.
    #[arg(long, default_value = "30s", value_parser = parse_duration)]
    pub drain_timeout: Duration,

    /// Ask the API server whether a reader of metrics and debug pages may read them. Without Kubernetes there is
    /// nobody to ask, so this has no effect.
    #[arg(long, action = Set, default_value_t = true, value_parser = parse_bool)]
    pub metrics_endpoint_auth: bool,
    /// Folder with a certificate for the metrics port (not supported).
    #[arg(long, default_value = "")]
    pub metrics_cert_dir: String,
    /// CA of metrics clients (not supported).
    #[arg(long, default_value = "")]
    pub metrics_client_ca_file: String,
    /// Export counters of gRPC streams.
    #[arg(long, action = Set, default_value_t = false, value_parser = parse_bool)]
    pub enable_grpc_stream_metrics: bool,
    /// Go profiles; accepted, there are none.
    #[arg(long, action = Set, default_value_t = true, value_parser = parse_bool)]
    pub enable_pprof: bool,
    /// Export traces; accepted, spans are not exported.
    #[arg(long, action = Set, default_value_t = true, value_parser = parse_bool)]
    pub tracing: bool,
    /// Only the replica that holds the lease is ready.
    #[arg(long, action = Set, default_value_t = false, value_parser = parse_bool)]
    pub ha_enable_leader_election: bool,

    /// Verbosity of the log: 2 default, 3 verbose, 4 debug, 5 trace.
    #[arg(short = 'v', long = "v", default_value_t = 2)]
    pub verbosity: u8,
    /// Form of log lines: json, or console for text.
    #[arg(long, default_value = "console")]
    pub zap_encoder: String,
    /// Log level by name (debug, info, error, panic) or verbosity; overrides -v.
    #[arg(long)]
    pub zap_log_level: Option<String>,
    /// Development logging; accepted without effect.
    #[arg(long, action = Set, default_value_t = true, value_parser = parse_bool)]
    pub zap_devel: bool,
    /// Level from which zap prints stack traces; accepted without effect.
    #[arg(long, default_value = "")]
    pub zap_stacktrace_level: String,
    /// Time format of zap; accepted without effect: times are RFC 3339.
    #[arg(long, default_value = "")]
    pub zap_time_encoding: String,

    /// Removed upstream: name metrics in `engineConfigs` of the configuration.
    #[arg(long)]
    pub total_queued_requests_metric: Option<String>,
    /// Removed upstream: name metrics in `engineConfigs` of the configuration.
    #[arg(long)]
    pub total_running_requests_metric: Option<String>,
    /// Removed upstream: name metrics in `engineConfigs` of the configuration.
    #[arg(long)]
    pub kv_cache_usage_percentage_metric: Option<String>,
    /// Removed upstream: name metrics in `engineConfigs` of the configuration.
    #[arg(long)]
    pub lora_info_metric: Option<String>,
    /// Removed upstream: name metrics in `engineConfigs` of the configuration.
    #[arg(long)]
    pub cache_info_metric: Option<String>,

    /// Empty words, which templates of pods leave behind, mean nothing.
    #[arg(hide = true, value_parser = empty)]
    pub ignored: Vec<String>,
}

/// Accepts the empty word only.
fn empty(word: &str) -> Result<String, String> {
    if word.is_empty() { Ok(String::new()) } else { Err("flags begin with --".to_owned()) }
}

impl Args {
    /// Parses a command line whose first word is the program's name.
    ///
    /// # Errors
    /// clap's error, which also stands for `--help` and `--version`.
    pub fn parse_from_words<I, W>(words: I) -> Result<Self, clap::Error>
    where
        I: IntoIterator<Item = W>,
        W: Into<std::ffi::OsString> + Clone,
    {
        // pflag takes the value of a boolean only behind `=`; the bare flag means true.
        let command = Self::command().mut_args(|arg| {
            if arg.get_value_parser().type_id() == TypeId::of::<bool>() && matches!(arg.get_action(), Set) {
                arg.num_args(0..=1).require_equals(true).default_missing_value("true")
            } else {
                arg
            }
        });
        Self::from_arg_matches(&command.try_get_matches_from(words)?)
    }
}

#[cfg(test)]
mod tests;
