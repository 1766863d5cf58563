//! What was typed: flags, the environment's fallbacks and the YAML file, each in its own layer.
//!
//! Flags are spelled and parsed as the upstream sidecar's (pflag rules: `--x v`, `--x=v`, booleans `--x` or
//! `--x=false`, lists repeated or with commas, the last one wins). YAML keys are the flag names.
//!
//! Not here: which layer wins and what is valid (`config`). Nothing else reads the environment.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use llmd_common::flag_value::{parse_bool, parse_bytes, parse_duration};
use serde::{Deserialize, Deserializer};

#[cfg(test)]
mod tests;

/// Prefill/decode proxy beside a decode engine.
#[derive(Debug, Clone, Parser)]
#[command(name = "llmd-sidecar", version = llmd_common::build_info::VERSION, args_override_self = true)]
pub struct Args {
    /// Settings as inline YAML whose keys are flag names; flags win over it.
    #[arg(long, conflicts_with = "configuration_file", allow_hyphen_values = true)]
    pub configuration: Option<String>,
    /// File with such YAML.
    #[arg(long)]
    pub configuration_file: Option<PathBuf>,
    #[command(flatten)]
    pub flags: Flags,
    #[command(flatten)]
    pub moriio: MoriioFlags,
    #[command(flatten)]
    pub logging: LoggingFlags,
    /// Empty arguments, which chart templates leave behind, are ignored.
    #[arg(hide = true, value_parser = parse_empty)]
    pub ignored: Vec<()>,
}

/// Settings that flags and YAML share. `None` = not given in this layer.
#[derive(Debug, Clone, Default, clap::Args, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Flags {
    /// Address that the listeners bind (default 0.0.0.0).
    #[arg(long)]
    pub host: Option<IpAddr>,
    /// Listen port of rank 0; rank r listens on port + r (default 8000, 0 = any free port).
    #[arg(long)]
    pub port: Option<u16>,
    /// Port of the local engine; rank r has port + r (default 8200).
    #[arg(long)]
    pub model_server_port: Option<u16>,
    /// Older name of --model-server-port, which wins.
    #[arg(long)]
    pub vllm_port: Option<u16>,
    /// Local data-parallel ranks (default 1).
    #[arg(long)]
    pub data_parallel_size: Option<u16>,
    /// How prefill and decode share the KV cache (default nixlv2, the only one supported).
    #[arg(long)]
    pub kv_connector: Option<String>,
    /// Older name of --kv-connector, which wins.
    #[arg(long)]
    pub connector: Option<String>,
    /// Encoder stage (not supported).
    #[arg(long)]
    pub ec_connector: Option<String>,
    /// Bootstrap port of the mooncake connector (without effect).
    #[arg(long)]
    pub mooncake_bootstrap_port: Option<u16>,
    /// Port of the peer-to-peer offload tier (without effect).
    #[arg(long)]
    pub p2p_connector_port: Option<u16>,
    /// Pull cache from a third peer (not supported).
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool)]
    pub enable_p2p_pull: Option<bool>,
    /// Serve TLS (default true); the certificate is self-signed unless --cert-path is given.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool)]
    pub secure_proxy: Option<bool>,
    /// Folder with tls.crt and tls.key, read again when they change.
    #[arg(long)]
    pub cert_path: Option<PathBuf>,
    /// Stages to which TLS is spoken: prefiller, decoder, encoder.
    #[arg(long, value_delimiter = ',')]
    pub enable_tls: Option<Vec<Stage>>,
    /// Stages whose certificate is not checked.
    #[arg(long, value_delimiter = ',')]
    pub tls_insecure_skip_verify: Option<Vec<Stage>>,
    /// Root certificates for these stages: a PEM file, or a folder with ca.crt (default: the system's).
    #[arg(long)]
    pub ca_path: Option<PathBuf>,
    /// Older form of --enable-tls=prefiller.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool)]
    pub prefiller_use_tls: Option<bool>,
    /// Older form of --enable-tls=decoder.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool)]
    pub decoder_use_tls: Option<bool>,
    /// Older form of --tls-insecure-skip-verify=prefiller.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool)]
    pub prefiller_tls_insecure_skip_verify: Option<bool>,
    /// Older form of --tls-insecure-skip-verify=decoder.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool)]
    pub decoder_tls_insecure_skip_verify: Option<bool>,
    /// Call only prefill endpoints that are pods of the inference pool; needs --inference-pool (default false).
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool)]
    pub enable_ssrf_protection: Option<bool>,
    /// The pool, `namespace/name`, or `name` in the namespace default.
    #[arg(long)]
    pub inference_pool: Option<String>,
    /// Older form of --inference-pool.
    #[arg(long)]
    pub inference_pool_namespace: Option<String>,
    /// Older form of --inference-pool.
    #[arg(long)]
    pub inference_pool_name: Option<String>,
    /// API group of the pool (default inference.networking.k8s.io).
    #[arg(long)]
    pub pool_group: Option<String>,
    /// How to reach the API server that has the pool (default: as every pod does, or as kubectl).
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
    /// Start at a random prefill candidate instead of the first.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool)]
    pub enable_prefiller_sampling: Option<bool>,
    /// Idle connections kept per engine (default 1024).
    #[arg(long)]
    pub max_idle_conns_per_host: Option<usize>,
    /// Further attempts at a prefill endpoint after a connection error, 502, 503 or 504 (default 0).
    #[arg(long)]
    pub prefill_max_retries: Option<u32>,
    /// Wait before each further attempt (default 200ms).
    #[arg(long, value_parser = parse_duration)]
    #[serde(deserialize_with = "yaml_duration")]
    pub prefill_retry_backoff: Option<Duration>,
    /// After the last attempt: `error` answers with the failure, `local` lets the decode engine compute the prompt, `next-candidate` tries the header's further endpoints (default error).
    #[arg(long)]
    pub prefill_failure_policy: Option<String>,
    /// Limit of the whole prefill leg, retries included; 0 = none (default 10m).
    #[arg(long, value_parser = parse_duration)]
    #[serde(deserialize_with = "yaml_duration")]
    pub prefill_timeout: Option<Duration>,
    /// Limit for connecting to an engine (default 5s).
    #[arg(long, value_parser = parse_duration)]
    #[serde(deserialize_with = "yaml_duration")]
    pub connect_timeout: Option<Duration>,
    /// Limit until the local engine's response begins, which for an answer that is not streamed is its end, and until each next piece of it; 0 = none (default 1h).
    #[arg(long, value_parser = parse_duration)]
    #[serde(deserialize_with = "yaml_duration")]
    pub response_timeout: Option<Duration>,
    /// Largest request and prefill answer that is buffered, as a quantity; a larger request is answered 413 (default 64Mi).
    #[arg(long, value_parser = parse_bytes)]
    #[serde(deserialize_with = "yaml_bytes")]
    pub max_body_bytes: Option<usize>,
    /// Chunked decode (not supported).
    #[arg(long)]
    pub decode_chunk_size: Option<u32>,
    /// Export traces (not supported); trace headers always pass through.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool)]
    pub tracing: Option<bool>,
    /// Port of the sidecar's own metrics, /livez and /readyz; 0 = off (default 0).
    #[arg(long)]
    pub metrics_port: Option<u16>,
    /// Time between not ready and the last accepted connection (default 0s).
    #[arg(long, value_parser = parse_duration)]
    #[serde(deserialize_with = "yaml_duration")]
    pub shutdown_delay: Option<Duration>,
    /// Time that requests in flight get at shutdown (default 60s).
    #[arg(long, value_parser = parse_duration)]
    #[serde(deserialize_with = "yaml_duration")]
    pub shutdown_timeout: Option<Duration>,
}

/// The MoRI-IO variant of nixlv2: the names parse, the two switches are refused, the rest is without effect.
#[derive(Debug, Clone, Default, clap::Args)]
#[expect(missing_docs, reason = "names of an upstream feature that is not built")]
pub struct MoriioFlags {
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool)]
    pub moriio_write_mode: Option<bool>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool)]
    pub moriio_parallel_dispatch: Option<bool>,
    #[arg(long, hide = true, value_parser = parse_duration)]
    pub moriio_parallel_decode_wait_timeout: Option<Duration>,
    #[arg(long, hide = true)]
    pub moriio_local_pod_ip: Option<String>,
    #[arg(long, hide = true)]
    pub moriio_decode_notify_port: Option<u16>,
    #[arg(long, hide = true)]
    pub moriio_prefill_notify_port: Option<u16>,
    #[arg(long, hide = true)]
    pub moriio_decode_handshake_port: Option<u16>,
    #[arg(long, hide = true)]
    pub moriio_prefill_handshake_port: Option<u16>,
    #[arg(long, hide = true)]
    pub moriio_tp_size: Option<u32>,
    #[arg(long, hide = true)]
    pub moriio_dp_size: Option<u32>,
    #[arg(long, hide = true)]
    pub moriio_dp_size_local: Option<u32>,
    #[arg(long, hide = true, value_delimiter = ',')]
    pub moriio_remote_hosts: Option<Vec<String>>,
    #[arg(long, hide = true, value_delimiter = ',')]
    pub moriio_decode_hosts: Option<Vec<String>>,
}

/// Log flags by the names of the two libraries that upstream used, zap and klog.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct LoggingFlags {
    /// Lines as `json` or `console` text (default json).
    #[arg(long)]
    pub zap_encoder: Option<String>,
    /// Lowest level: debug, info, error, panic, or a verbosity number (default info).
    #[arg(long)]
    pub zap_log_level: Option<String>,
    /// Text lines and debug level.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool)]
    pub zap_devel: Option<bool>,
    /// Level from which stack traces are logged (without effect).
    #[arg(long, hide = true)]
    pub zap_stacktrace_level: Option<String>,
    /// Format of times (without effect: RFC 3339).
    #[arg(long, hide = true)]
    pub zap_time_encoding: Option<String>,
    /// Verbosity; 2 and above log at debug level, 5 and above at trace level.
    #[arg(short = 'v', long = "v")]
    pub verbosity: Option<u8>,
}

/// A kind of engine that the sidecar calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Prefill engines.
    Prefiller,
    /// The local engine.
    Decoder,
    /// Encode engines.
    Encoder,
}

/// Fallbacks from the environment, as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Env {
    /// `INFERENCE_POOL`, or `INFERENCE_POOL_NAMESPACE`/`INFERENCE_POOL_NAME`.
    pub inference_pool: Option<String>,
    /// `ENABLE_PREFILLER_SAMPLING`.
    pub enable_prefiller_sampling: Option<String>,
    /// `MORIIO_METRICS_ADDR`, an address whose port is the metrics port.
    pub metrics_address: Option<String>,
    /// `POD_IP`, this pod's address in data-parallel headers.
    pub pod_ip: Option<String>,
}

impl Env {
    /// Reads the process's environment. An empty variable counts as absent.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn read() -> Self {
        Self::from_lookup(&|name| std::env::var(name).ok().filter(|it| !it.is_empty()))
    }

    fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Self {
        let older_pool = || {
            let name = lookup("INFERENCE_POOL_NAME")?;
            let namespace = lookup("INFERENCE_POOL_NAMESPACE").unwrap_or_else(|| "default".to_owned());
            Some(format!("{namespace}/{name}"))
        };
        Self {
            inference_pool: lookup("INFERENCE_POOL").or_else(older_pool),
            enable_prefiller_sampling: lookup("ENABLE_PREFILLER_SAMPLING"),
            metrics_address: lookup("MORIIO_METRICS_ADDR"),
            pod_ip: lookup("POD_IP"),
        }
    }
}

/// Why the YAML layer cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum YamlError {
    /// The file of `--configuration-file` is missing or unreadable.
    #[error("cannot read --configuration-file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A key is unknown or a value has the wrong type.
    #[error("the YAML configuration is wrong: {message}")]
    Parse {
        /// What and where, in one line.
        message: String,
    },
}

impl Args {
    /// The YAML layer, empty when neither flag is given.
    ///
    /// # Errors
    /// When the file cannot be read, a key is unknown or a value does not fit.
    pub fn yaml(&self) -> Result<Flags, YamlError> {
        let text = match (&self.configuration, &self.configuration_file) {
            (Some(text), _) => text.clone(),
            (None, Some(path)) => read(path)?,
            (None, None) => return Ok(Flags::default()),
        };
        if text.trim().is_empty() {
            return Ok(Flags::default());
        }
        serde_saphyr::from_str(&text).map_err(|error| {
            let message = error.to_string();
            YamlError::Parse { message: message.lines().next().unwrap_or_default().to_owned() }
        })
    }
}

fn read(path: &Path) -> Result<String, YamlError> {
    std::fs::read_to_string(path).map_err(|source| YamlError::Read { path: path.to_owned(), source })
}

fn yaml_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).map(Some).map_err(serde::de::Error::custom)
}

fn yaml_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Quantity {
        Number(u64),
        Text(String),
    }
    let text = match Quantity::deserialize(deserializer)? {
        Quantity::Number(number) => number.to_string(),
        Quantity::Text(text) => text,
    };
    parse_bytes(&text).map(Some).map_err(serde::de::Error::custom)
}

fn parse_empty(text: &str) -> Result<(), String> {
    if text.is_empty() { Ok(()) } else { Err("use flags only, such as --port=8000".to_owned()) }
}
