//! An endpoint picker and the cluster that reaches it.

use std::time::Duration;

use envoy_types::pb::envoy::config::cluster::v3::circuit_breakers::Thresholds;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DiscoveryType};
use envoy_types::pb::envoy::config::cluster::v3::{CircuitBreakers, Cluster};
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::transport_socket::ConfigType;
use envoy_types::pb::envoy::config::core::v3::{
    Address, Http2ProtocolOptions, KeepaliveSettings, SocketAddress, TransportSocket, address,
};
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy_types::pb::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints,
};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{CommonTlsContext, UpstreamTlsContext};
use envoy_types::pb::envoy::extensions::upstreams::http::v3::HttpProtocolOptions;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::http_protocol_options::explicit_http_config::ProtocolConfig;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::http_protocol_options::{
    ExplicitHttpConfig, UpstreamProtocolOptions,
};
use envoy_types::pb::google::protobuf::UInt32Value;
use serde::{Deserialize, Serialize};

use super::message::{duration, packed};

/// Where an endpoint picker listens, and what happens when it does not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Picker {
    pub namespace: String,
    pub service: String,
    pub port: u16,
    pub fails_open: bool,
}

/// How long a connection may take to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A picker whose node is gone says nothing more; requests that wait for it end after both.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// Requests at the picker at a time. Each stays for as long as its answer is generated; Envoy's own bound of 1024
/// is one for requests that end at once.
const MAX_REQUESTS: u32 = 40_000;

impl Picker {
    /// Name of its cluster.
    pub(super) fn cluster_name(&self) -> String {
        format!("llmd-picker/{}/{}/{}", self.namespace, self.service, self.port)
    }

    /// How requests name it.
    pub(super) fn authority(&self) -> String {
        format!("{}.{}:{}", self.service, self.namespace, self.port)
    }

    /// The Service over HTTP/2, in clear text or with TLS. Pickers make their own certificates, so none is verified.
    pub(super) fn cluster(&self, is_clear_text: bool, cluster_domain: &str) -> Cluster {
        let options_name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
        let bound = Some(UInt32Value { value: MAX_REQUESTS });
        let thresholds = Thresholds {
            max_connections: bound,
            max_pending_requests: bound,
            max_requests: bound,
            ..Thresholds::default()
        };
        Cluster {
            name: self.cluster_name(),
            load_assignment: Some(self.endpoint(cluster_domain)),
            cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::StrictDns.into())),
            connect_timeout: Some(duration(CONNECT_TIMEOUT)),
            circuit_breakers: Some(CircuitBreakers {
                thresholds: vec![thresholds],
                ..CircuitBreakers::default()
            }),
            typed_extension_protocol_options: [(options_name.to_owned(), packed(options_name, &http2()))]
                .into(),
            transport_socket: (!is_clear_text).then(tls),
            ..Cluster::default()
        }
    }

    fn endpoint(&self, cluster_domain: &str) -> ClusterLoadAssignment {
        let address = SocketAddress {
            address: format!("{}.{}.svc.{cluster_domain}", self.service, self.namespace),
            port_specifier: Some(PortSpecifier::PortValue(self.port.into())),
            ..SocketAddress::default()
        };
        let endpoint = Endpoint {
            address: Some(Address { address: Some(address::Address::SocketAddress(address)) }),
            ..Endpoint::default()
        };
        let endpoint =
            LbEndpoint { host_identifier: Some(HostIdentifier::Endpoint(endpoint)), ..LbEndpoint::default() };
        let locality = LocalityLbEndpoints { lb_endpoints: vec![endpoint], ..LocalityLbEndpoints::default() };
        ClusterLoadAssignment {
            cluster_name: self.cluster_name(),
            endpoints: vec![locality],
            ..ClusterLoadAssignment::default()
        }
    }
}

fn http2() -> HttpProtocolOptions {
    let keepalive = KeepaliveSettings {
        interval: Some(duration(PING_INTERVAL)),
        timeout: Some(duration(PING_TIMEOUT)),
        ..KeepaliveSettings::default()
    };
    let http2 =
        Http2ProtocolOptions { connection_keepalive: Some(keepalive), ..Http2ProtocolOptions::default() };
    let explicit = ExplicitHttpConfig { protocol_config: Some(ProtocolConfig::Http2ProtocolOptions(http2)) };
    HttpProtocolOptions {
        upstream_protocol_options: Some(UpstreamProtocolOptions::ExplicitHttpConfig(explicit)),
        ..HttpProtocolOptions::default()
    }
}

fn tls() -> TransportSocket {
    let context = UpstreamTlsContext {
        common_tls_context: Some(CommonTlsContext {
            alpn_protocols: vec!["h2".to_owned()],
            ..CommonTlsContext::default()
        }),
        ..UpstreamTlsContext::default()
    };
    let context = packed("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", &context);
    TransportSocket {
        name: "envoy.transport_sockets.tls".to_owned(),
        config_type: Some(ConfigType::TypedConfig(context)),
    }
}
