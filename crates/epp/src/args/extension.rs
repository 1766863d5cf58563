//! Flags of the other role: `llmd-epp envoy-gateway-extension`.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use llmd_common::flag_value::parse_duration;
use llmd_common::telemetry::LogFormat;

/// The word that chooses the role.
pub const EXTENSION: &str = "envoy-gateway-extension";

/// Extension server of Envoy Gateway: HTTPRoutes whose backend is an InferencePool.
#[derive(Debug, Clone, Parser)]
#[command(name = "llmd-epp envoy-gateway-extension", version = llmd_common::build_info::VERSION)]
pub struct ExtensionArgs {
    /// Address that the listener binds.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    pub host: IpAddr,
    /// Port of the hooks and of gRPC health, both without TLS.
    #[arg(long, default_value_t = 5005)]
    pub port: u16,
    /// DNS domain of Services.
    #[arg(long, default_value = "cluster.local")]
    pub cluster_domain: String,
    /// Controller name of the GatewayClasses that Envoy Gateway serves; pools get a status for their Gateways.
    #[arg(long, default_value = "gateway.envoyproxy.io/gatewayclass-controller")]
    pub controller_name: String,
    /// File that says how to reach the API server; absent = KUBECONFIG, ~/.kube/config or the pod's service account.
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
    /// Time that hooks in flight get to finish at shutdown.
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    pub drain_timeout: Duration,
    /// Form of log lines: json, or console for text.
    #[arg(long, default_value = "console")]
    pub zap_encoder: LogFormat,
}

/// The flags of the role, when the command line asks for it.
///
/// # Errors
/// clap's error, which also stands for `--help` and `--version`.
pub fn parse(words: &[OsString]) -> Result<Option<ExtensionArgs>, clap::Error> {
    match words {
        [program, role, flags @ ..] if role == EXTENSION => {
            ExtensionArgs::try_parse_from(std::iter::once(program).chain(flags)).map(Some)
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn the_first_word_chooses_the_role() {
        let args = parse(&words("llmd-epp envoy-gateway-extension --port 0 --zap-encoder json"));
        assert_eq!(args.expect("flags of the role").map(|it| it.port), Some(0));
        assert!(parse(&words("llmd-epp --grpc-port 1")).expect("another role").is_none());
        assert!(parse(&words("llmd-epp envoy-gateway-extension --grpc-port 1")).is_err());
    }
}
