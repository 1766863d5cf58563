//! What the process runs with, checked.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use llmd_common::telemetry::LogFormat;

use super::Args;
use crate::cipher_suites::{CipherSuites, UnknownSuite};
use crate::settings::Installation;

/// Checked settings in final types.
#[derive(Debug, Clone)]
pub struct Settings {
    pub kubeconfig: Option<PathBuf>,
    pub installation: Installation,
    pub metrics_addr: Option<SocketAddr>,
    /// Whether metrics are served over TLS and only to readers whom the API server allows.
    pub metrics_secure: bool,
    pub health_addr: Option<SocketAddr>,
    pub webhook_addr: SocketAddr,
    pub webhook_cert_dir: Option<PathBuf>,
    pub cipher_suites: CipherSuites,
    /// Refuse the deletion of well-known presets.
    pub keep_presets: bool,
    /// Name of the lease; `None` = this process works alone.
    pub lease: Option<String>,
    /// Names this process among the candidates for the lease.
    pub identity: String,
    pub concurrency: usize,
    pub migration_timeout: Duration,
    pub migration_interval: Duration,
    pub log_format: LogFormat,
    pub log_filter: String,
    /// Flags that were given and have no effect here, with the reason.
    pub warnings: Vec<String>,
}

/// A flag whose value cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("--{flag}: {problem}")]
pub struct Error {
    flag: &'static str,
    problem: String,
}

impl TryFrom<Args> for Settings {
    type Error = Error;

    fn try_from(args: Args) -> Result<Self, Error> {
        let warnings = warnings(&args);
        let Args {
            kubeconfig,
            metrics_addr,
            metrics_secure,
            health_probe_addr,
            webhook_port,
            webhook_bind_address,
            webhook_cert_dir,
            tls_min_version,
            tls_cipher_suites,
            leader_elect,
            leader_election_id,
            max_concurrent_reconciles,
            storage_migration_timeout,
            storage_migration_poll_interval,
            monitoring,
            metrics_reader_role,
            system_namespace,
            pod_name,
            config_prefix,
            versioned_config,
            prevent_well_known_config_deletion,
            wildcard_hostname,
            cluster_domain,
            zap_encoder,
            zap_log_level,
            zap_devel: _,
            zap_stacktrace_level: _,
            zap_time_encoding: _,
        } = args;
        check_tls_version(&tls_min_version)?;
        Ok(Self {
            kubeconfig,
            installation: Installation {
                system_namespace,
                config_prefix,
                pin_presets: versioned_config,
                cluster_domain,
                wildcard_hostname,
                monitoring,
                metrics_reader_role,
            },
            metrics_addr: address("metrics-addr", &metrics_addr)?,
            metrics_secure,
            health_addr: address("health-probe-addr", &health_probe_addr)?,
            webhook_addr: SocketAddr::new(webhook_bind_address, webhook_port),
            webhook_cert_dir,
            cipher_suites: cipher_suites(&tls_cipher_suites)?,
            keep_presets: prevent_well_known_config_deletion,
            lease: leader_elect.then_some(leader_election_id),
            identity: identity(pod_name),
            concurrency: max_concurrent_reconciles.into(),
            migration_timeout: storage_migration_timeout,
            migration_interval: storage_migration_poll_interval,
            log_format: log_format(&zap_encoder)?,
            log_filter: log_filter(&zap_log_level)?,
            warnings,
        })
    }
}

/// Flags of zap that change nothing here.
fn warnings(args: &Args) -> Vec<String> {
    let given = [
        ("zap-devel", args.zap_devel),
        ("zap-stacktrace-level", !args.zap_stacktrace_level.is_empty()),
        ("zap-time-encoding", !args.zap_time_encoding.is_empty()),
    ];
    let ineffective = given.into_iter().filter(|(_, is_given)| *is_given);
    ineffective.map(|(flag, _)| format!("--{flag} has no effect")).collect()
}

fn cipher_suites(names: &str) -> Result<CipherSuites, Error> {
    names.parse().map_err(|it: UnknownSuite| Error { flag: "tls-cipher-suites", problem: it.to_string() })
}

/// TLS 1.2 is the lowest version served, so older ones cannot be asked for.
fn check_tls_version(version: &str) -> Result<(), Error> {
    match version {
        "" | "VersionTLS12" => Ok(()),
        other => Err(Error {
            flag: "tls-min-version",
            problem: format!("not supported: {other:?}; the webhooks speak TLS 1.2 and 1.3 (VersionTLS12)"),
        }),
    }
}

/// An address as Go's listeners take it: `:8443`, `127.0.0.1:8443`, `[::1]:8443`; `0` = none.
fn address(flag: &'static str, text: &str) -> Result<Option<SocketAddr>, Error> {
    if matches!(text, "0" | "") {
        return Ok(None);
    }
    let problem =
        || Error { flag, problem: format!("{text:?} is no address; use :PORT, IP:PORT, or 0 for none") };
    if let Some(port) = text.strip_prefix(':') {
        let port = port.parse().map_err(|_| problem())?;
        return Ok(Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)));
    }
    text.parse().map(Some).map_err(|_| problem())
}

/// The pod's name, or the host's, with a part that tells two processes of one host apart.
fn identity(pod_name: Option<String>) -> String {
    let name = pod_name.filter(|it| !it.is_empty()).unwrap_or_else(|| {
        let host = rustix::system::uname();
        host.nodename().to_string_lossy().into_owned()
    });
    format!("{name}_{}", uuid::Uuid::new_v4())
}

fn log_format(encoder: &str) -> Result<LogFormat, Error> {
    encoder.parse().map_err(|problem| Error { flag: "zap-encoder", problem })
}

/// zap's levels as a filter. Libraries stay at their warnings unless everything is wanted.
fn log_filter(level: &str) -> Result<String, Error> {
    let level = match level {
        "debug" | "1" => "debug",
        "info" | "0" => "info",
        "warn" => "warn",
        "error" | "dpanic" | "panic" | "fatal" => "error",
        other if other.parse::<u8>().is_ok() => {
            return Ok("trace,hyper=info,h2=info,rustls=info,tower=info".to_owned());
        }
        other => {
            let problem = format!("unknown level {other:?}: use debug, info, error, panic or a verbosity");
            return Err(Error { flag: "zap-log-level", problem });
        }
    };
    Ok(format!("warn,llmd_controller={level},llmd_common={level}"))
}
