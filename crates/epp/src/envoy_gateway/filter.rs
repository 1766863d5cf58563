//! The filters of Envoy that ask an endpoint picker, and the cluster that reaches it.

use std::time::Duration;

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DiscoveryType};
use envoy_types::pb::envoy::config::common::mutation_rules::v3::HeaderMutation as Mutation;
use envoy_types::pb::envoy::config::common::mutation_rules::v3::header_mutation::Action;
use envoy_types::pb::envoy::config::core::v3::grpc_service::{EnvoyGrpc, TargetSpecifier};
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::transport_socket::ConfigType as SocketConfig;
use envoy_types::pb::envoy::config::core::v3::{
    Address, GrpcService, Http2ProtocolOptions, SocketAddress, TransportSocket, TypedExtensionConfig, address,
};
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy_types::pb::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints,
};
use envoy_types::pb::envoy::extensions::filters::http::ext_proc::v3::ext_proc_per_route::Override;
use envoy_types::pb::envoy::extensions::filters::http::ext_proc::v3::processing_mode::{
    BodySendMode, HeaderSendMode,
};
use envoy_types::pb::envoy::extensions::filters::http::ext_proc::v3::{
    ExtProcOverrides, ExtProcPerRoute, ExternalProcessor, ProcessingMode,
};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_filter::ConfigType;
use envoy_types::pb::envoy::extensions::http::early_header_mutation::header_mutation::v3::HeaderMutation;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{CommonTlsContext, UpstreamTlsContext};
use envoy_types::pb::envoy::extensions::upstreams::http::v3::HttpProtocolOptions;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::http_protocol_options::explicit_http_config::ProtocolConfig;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::http_protocol_options::{
    ExplicitHttpConfig, UpstreamProtocolOptions,
};
use envoy_types::pb::google::protobuf::{Any, BoolValue, Duration as ProtoDuration};
use llmd_api::headers;
use prost::Message;

use super::picker::Picker;
use super::wire::{Malformed, copy, fields, put};

pub(super) const HTTP_CONNECTION_MANAGER: &str = "type.googleapis.com/envoy.extensions.filters.network.\
                                                  http_connection_manager.v3.HttpConnectionManager";
const ROUTER: &str = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";

/// Name of the filter in listeners and routes.
const FILTER: &str = "llmd.endpoint-picker";

/// How long a connection to a picker may take to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long Envoy waits for an answer of the picker to a part of a request. Requests may wait there for capacity, and
/// a response's parts come as the engine generates them.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(1000);

/// Field numbers of `HttpConnectionManager` and `HttpFilter`.
const HTTP_FILTERS: usize = 5;
const EARLY_HEADER_MUTATIONS: usize = 52;
const TYPED_CONFIG: usize = 4;

/// An entry of a `typed_per_filter_config`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct FilterConfig {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, required, tag = "2")]
    pub config: Any,
}

/// Adds the filter, off until a route turns it on, in front of the router, and drops the picker's header from every
/// client's request. `picker` stands where the filter wants one; routes name their own.
pub(super) fn add_to_manager(manager: &[u8], picker: &Picker) -> Result<Vec<u8>, Malformed> {
    let mut edited = Vec::with_capacity(manager.len());
    for field in fields(manager)? {
        if field.number == HTTP_FILTERS && is_router(field.value)? {
            put(HTTP_FILTERS, &http_filter(picker).encode_to_vec(), &mut edited);
        }
        copy(&field, &mut edited);
    }
    put(EARLY_HEADER_MUTATIONS, &drop_header().encode_to_vec(), &mut edited);
    Ok(edited)
}

fn is_router(filter: &[u8]) -> Result<bool, Malformed> {
    let config = fields(filter)?.into_iter().find(|it| it.number == TYPED_CONFIG);
    let any = config.map(|it| Any::decode(it.value)).transpose().map_err(|_| Malformed)?;
    Ok(any.is_some_and(|it| it.type_url == ROUTER))
}

fn http_filter(picker: &Picker) -> HttpFilter {
    let processor = ExternalProcessor {
        grpc_service: Some(grpc_service(picker)),
        failure_mode_allow: picker.fail_open,
        message_timeout: Some(duration(MESSAGE_TIMEOUT)),
        processing_mode: Some(processing_mode()),
        ..ExternalProcessor::default()
    };
    let config = any("envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor", &processor);
    HttpFilter {
        name: FILTER.to_owned(),
        disabled: true,
        config_type: Some(ConfigType::TypedConfig(config)),
        ..HttpFilter::default()
    }
}

/// Headers and bodies both ways; trailers because full duplex needs them.
fn processing_mode() -> ProcessingMode {
    let (send, full_duplex) = (HeaderSendMode::Send.into(), BodySendMode::FullDuplexStreamed.into());
    ProcessingMode {
        request_header_mode: send,
        response_header_mode: send,
        request_body_mode: full_duplex,
        response_body_mode: full_duplex,
        request_trailer_mode: send,
        response_trailer_mode: send,
    }
}

/// What a client says about endpoints is not heard.
fn drop_header() -> TypedExtensionConfig {
    let mutation = Mutation { action: Some(Action::Remove(headers::DESTINATION_ENDPOINT.to_owned())) };
    let mutations = HeaderMutation { mutations: vec![mutation] };
    let name = "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation";
    TypedExtensionConfig {
        name: "llmd.drop-client-endpoint".to_owned(),
        typed_config: Some(any(name, &mutations)),
    }
}

/// What turns the filter on for a route, with its own picker.
pub(super) fn of_route(picker: &Picker) -> FilterConfig {
    let overrides = ExtProcOverrides {
        grpc_service: Some(grpc_service(picker)),
        failure_mode_allow: Some(BoolValue { value: picker.fail_open }),
        ..ExtProcOverrides::default()
    };
    let per_route = ExtProcPerRoute { r#override: Some(Override::Overrides(overrides)) };
    let config = any("envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute", &per_route);
    FilterConfig { name: FILTER.to_owned(), config }
}

fn grpc_service(picker: &Picker) -> GrpcService {
    let envoy = EnvoyGrpc { cluster_name: picker.cluster_name(), ..EnvoyGrpc::default() };
    GrpcService { target_specifier: Some(TargetSpecifier::EnvoyGrpc(envoy)), ..GrpcService::default() }
}

/// The picker's Service over HTTP/2 and TLS. Pickers make their own certificates, so none is verified.
pub(super) fn cluster(picker: &Picker, cluster_domain: &str) -> Cluster {
    let name = picker.cluster_name();
    let http2 = ExplicitHttpConfig {
        protocol_config: Some(ProtocolConfig::Http2ProtocolOptions(Http2ProtocolOptions::default())),
    };
    let options = HttpProtocolOptions {
        upstream_protocol_options: Some(UpstreamProtocolOptions::ExplicitHttpConfig(http2)),
        ..HttpProtocolOptions::default()
    };
    let options_name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let tls = UpstreamTlsContext {
        common_tls_context: Some(CommonTlsContext {
            alpn_protocols: vec!["h2".to_owned()],
            ..CommonTlsContext::default()
        }),
        ..UpstreamTlsContext::default()
    };
    let tls = any("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", &tls);
    Cluster {
        load_assignment: Some(one_endpoint(&name, picker.host(cluster_domain), picker.port)),
        name,
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::StrictDns.into())),
        connect_timeout: Some(duration(CONNECT_TIMEOUT)),
        typed_extension_protocol_options: [(options_name.to_owned(), any(options_name, &options))].into(),
        transport_socket: Some(TransportSocket {
            name: "envoy.transport_sockets.tls".to_owned(),
            config_type: Some(SocketConfig::TypedConfig(tls)),
        }),
        ..Cluster::default()
    }
}

fn one_endpoint(cluster_name: &str, host: String, port: u16) -> ClusterLoadAssignment {
    let address = SocketAddress {
        address: host,
        port_specifier: Some(PortSpecifier::PortValue(port.into())),
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
        cluster_name: cluster_name.to_owned(),
        endpoints: vec![locality],
        ..ClusterLoadAssignment::default()
    }
}

fn any(name: &str, message: &impl Message) -> Any {
    Any { type_url: format!("type.googleapis.com/{name}"), value: message.encode_to_vec() }
}

fn duration(duration: Duration) -> ProtoDuration {
    ProtoDuration { seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX), nanos: 0 }
}
