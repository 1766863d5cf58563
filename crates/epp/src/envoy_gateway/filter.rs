//! What makes Envoy ask an endpoint picker: a filter of listeners, and what turns it on for a route.

use std::time::Duration;

use envoy_types::pb::envoy::config::common::mutation_rules::v3::HeaderMutation as Mutation;
use envoy_types::pb::envoy::config::common::mutation_rules::v3::header_mutation::Action;
use envoy_types::pb::envoy::config::core::v3::grpc_service::{EnvoyGrpc, TargetSpecifier};
use envoy_types::pb::envoy::config::core::v3::{GrpcService, TypedExtensionConfig};
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
use envoy_types::pb::envoy::r#type::v3::{HttpStatus, StatusCode};
use envoy_types::pb::google::protobuf::{Any, BoolValue};
use llmd_api::headers;
use prost::Message;

use super::message::{duration, packed, type_url};
use super::picker::Picker;
use super::wire::{Malformed, copy, fields, put};

pub(super) const HTTP_CONNECTION_MANAGER: &str = "type.googleapis.com/envoy.extensions.filters.network.\
                                                  http_connection_manager.v3.HttpConnectionManager";
const ROUTER: &str = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";

/// Name of the filter in listeners and routes.
const FILTER: &str = "llmd.endpoint-picker";

/// How long Envoy waits for an answer of the picker to a part of a request. Requests may wait there for capacity, and
/// a response's parts come as the engine generates them.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(1000);

/// Field numbers of `HttpConnectionManager`, `HttpFilter` and `ExternalProcessor`.
const HTTP_FILTERS: usize = 5;
const EARLY_HEADER_MUTATIONS: usize = 52;
const TYPED_CONFIG: usize = 4;
/// Newer than the messages at hand.
const STATUS_ON_ERROR: usize = 24;

/// An entry of a `typed_per_filter_config`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct FilterConfig {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, required, tag = "2")]
    pub config: Any,
}

/// Drops the picker's header from every client's request, and adds the filter in front of the router, off until a
/// route turns it on. `picker` stands where the filter wants one; routes name their own.
pub(super) fn add_to_manager(manager: &[u8], picker: Option<&Picker>) -> Result<Vec<u8>, Malformed> {
    let mut edited = Vec::with_capacity(manager.len());
    for field in fields(manager)? {
        if let Some(picker) = picker
            && field.number == HTTP_FILTERS
            && is_router(field.value)?
        {
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
        failure_mode_allow: picker.fails_open,
        message_timeout: Some(duration(MESSAGE_TIMEOUT)),
        processing_mode: Some(processing_mode()),
        ..ExternalProcessor::default()
    };
    let mut value = processor.encode_to_vec();
    // A picker that is away is no error of the client's or of Envoy's.
    let unavailable = HttpStatus { code: StatusCode::ServiceUnavailable.into() };
    put(STATUS_ON_ERROR, &unavailable.encode_to_vec(), &mut value);
    let type_url = type_url("envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor");
    HttpFilter {
        name: FILTER.to_owned(),
        disabled: true,
        config_type: Some(ConfigType::TypedConfig(Any { type_url, value })),
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
        typed_config: Some(packed(name, &mutations)),
    }
}

/// What turns the filter on for a route, with its own picker.
pub(super) fn of_route(picker: &Picker) -> FilterConfig {
    let overrides = ExtProcOverrides {
        grpc_service: Some(grpc_service(picker)),
        failure_mode_allow: Some(BoolValue { value: picker.fails_open }),
        ..ExtProcOverrides::default()
    };
    let per_route = ExtProcPerRoute { r#override: Some(Override::Overrides(overrides)) };
    let config = packed("envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute", &per_route);
    FilterConfig { name: FILTER.to_owned(), config }
}

fn grpc_service(picker: &Picker) -> GrpcService {
    // Envoy would take the cluster's name for one, which HTTP/2 servers refuse for its slashes.
    let authority = picker.authority();
    let envoy = EnvoyGrpc { cluster_name: picker.cluster_name(), authority, ..EnvoyGrpc::default() };
    GrpcService { target_specifier: Some(TargetSpecifier::EnvoyGrpc(envoy)), ..GrpcService::default() }
}
