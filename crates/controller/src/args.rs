//! Command-line flags, spelled as KServe's controller spells them and parsed as Go's `flag` package does: one dash or
//! two, `-x v` or `-x=v`, booleans `-x` or `-x=false`, the last one wins.
//!
//! [`Args`] is what was typed. [`Settings`] is what the process runs with: checked and in final types. Nothing else in
//! this crate reads flags or the environment.

use std::any::TypeId;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use clap::ArgAction::Set;
use clap::{CommandFactory, FromArgMatches, Parser};
use llmd_common::flag_value::{parse_bool, parse_duration};

use crate::settings::METRICS_READER_ROLE;

mod settings;

pub use settings::{Error, Settings};

/// Controller of LLMInferenceService.
#[derive(Debug, Clone, Parser)]
#[command(name = "llmd-controller", version = llmd_common::build_info::VERSION, args_override_self = true)]
pub struct Args {
    /// Kubeconfig file; without it the cluster that the process runs in, or the user's default.
    #[arg(long, env = "KUBECONFIG")]
    pub kubeconfig: Option<PathBuf>,

    /// Address of /metrics; 0 = none.
    #[arg(long, default_value = ":8443")]
    pub metrics_addr: String,
    /// Serve metrics over TLS, to readers whose token the API server lets get /metrics; false = plain HTTP for all.
    #[arg(long, action = Set, default_value_t = true, value_parser = parse_bool)]
    pub metrics_secure: bool,
    /// Address of /healthz and /readyz; 0 = none.
    #[arg(long, default_value = ":8081")]
    pub health_probe_addr: String,
    /// Port of the webhooks; 0 picks a free one.
    #[arg(long, default_value_t = 9443)]
    pub webhook_port: u16,
    /// Address that the webhooks bind.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    pub webhook_bind_address: IpAddr,
    /// Folder with tls.crt and tls.key for the webhooks; without it a certificate of the installation's own authority.
    #[arg(long)]
    pub webhook_cert_dir: Option<PathBuf>,
    /// Lowest TLS version of the webhooks and the metrics port, by Go's name.
    #[arg(long, default_value = "")]
    pub tls_min_version: String,
    /// TLS 1.2 cipher suites of the webhooks and the metrics port, by Go's names with commas between them; default: every
    /// safe one. Those of TLS 1.3 are always there.
    #[arg(long, default_value = "")]
    pub tls_cipher_suites: String,

    /// Only the holder of a lease reconciles; needed with more than one replica.
    #[arg(long, action = Set, default_value_t = false, value_parser = parse_bool)]
    pub leader_elect: bool,
    /// Name of the lease.
    #[arg(long, default_value = "llminferenceservice-kserve-controller-manager")]
    pub leader_election_id: String,
    /// Services reconciled at a time.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub max_concurrent_reconciles: u16,
    /// Time that the migration of stored objects to the current version may take.
    #[arg(long, default_value = "1h", value_parser = parse_duration)]
    pub storage_migration_timeout: Duration,
    /// Time between two attempts of that migration.
    #[arg(long, default_value = "30s", value_parser = parse_duration)]
    pub storage_migration_poll_interval: Duration,
    /// Make PodMonitors and ServiceMonitors where their CRDs exist.
    #[arg(long, action = Set, default_value_t = false, value_parser = parse_bool)]
    pub monitoring: bool,
    /// ClusterRole that allows to read `/metrics`; those monitors bind it to the accounts that Prometheus reads with.
    #[arg(long, default_value = METRICS_READER_ROLE)]
    pub metrics_reader_role: String,

    /// Namespace of presets, settings and the lease.
    #[arg(long, env = "POD_NAMESPACE", default_value = "kserve")]
    pub system_namespace: String,
    /// Name of this process among its replicas; default: the host's name.
    #[arg(long, env = "POD_NAME")]
    pub pod_name: Option<String>,
    /// Prefix of the well-known presets.
    #[arg(long, env = "LLM_INFERENCE_SERVICE_CONFIG_PREFIX", default_value = "kserve-")]
    pub config_prefix: String,
    /// Let each service stay with the presets it first used.
    #[arg(long, env = "LLM_INFERENCE_SERVICE_VERSIONED_CONFIG", action = Set, default_value_t = true, value_parser = parse_bool)]
    pub versioned_config: bool,
    /// Refuse the deletion of well-known presets.
    #[arg(long, env = "PREVENT_WELL_KNOWN_CONFIG_DELETION", action = Set, default_value_t = true, value_parser = parse_bool)]
    pub prevent_well_known_config_deletion: bool,
    /// Replaces the `*` of wildcard host names in URLs.
    #[arg(long, env = "GATEWAY_API_WILDCARD_HOSTNAME", default_value = "inference")]
    pub wildcard_hostname: String,
    /// DNS domain of Services.
    #[arg(long, env = "CLUSTER_DOMAIN", default_value = "cluster.local")]
    pub cluster_domain: String,

    /// Form of log lines: json, or console for text.
    #[arg(long, default_value = "json")]
    pub zap_encoder: String,
    /// Log level: debug, info, error, panic, or a verbosity (1 = debug, 2 and more = everything).
    #[arg(long, default_value = "info")]
    pub zap_log_level: String,
    /// Development logging; accepted without effect.
    #[arg(long, action = Set, default_value_t = false, value_parser = parse_bool)]
    pub zap_devel: bool,
    /// Level from which zap prints stack traces; accepted without effect.
    #[arg(long, default_value = "")]
    pub zap_stacktrace_level: String,
    /// Time format of zap; accepted without effect: times are RFC 3339.
    #[arg(long, default_value = "")]
    pub zap_time_encoding: String,
}

impl Args {
    /// Parses a command line whose first word is the program's name.
    ///
    /// # Errors
    /// clap's error, which also stands for `--help` and `--version`.
    pub fn parse_from_words<W: Into<OsString>>(
        words: impl IntoIterator<Item = W>,
    ) -> Result<Self, clap::Error> {
        // Go takes the value of a boolean only behind `=`; the bare flag means true.
        let command = Self::command().mut_args(|arg| {
            if arg.get_value_parser().type_id() == TypeId::of::<bool>() && matches!(arg.get_action(), Set) {
                arg.num_args(0..=1).require_equals(true).default_missing_value("true")
            } else {
                arg
            }
        });
        let words = words.into_iter().map(|it| two_dashes(it.into()));
        Self::from_arg_matches(&command.try_get_matches_from(words)?)
    }
}

/// A long flag behind one dash, as Go writes it, with two.
fn two_dashes(word: OsString) -> OsString {
    let is_long = word.to_str().is_some_and(|it| {
        let name = it.strip_prefix('-').unwrap_or_default();
        name.len() > 1 && name.starts_with(|it: char| it.is_ascii_lowercase())
    });
    if !is_long {
        return word;
    }
    let mut long = OsString::from("-");
    long.push(word);
    long
}

#[cfg(test)]
mod tests;
