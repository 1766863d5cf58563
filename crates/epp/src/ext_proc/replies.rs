//! Builders of the answers that Envoy understands.

use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use envoy_types::pb::envoy::service::ext_proc::v3::body_mutation::Mutation;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_response::Response;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    BodyMutation, BodyResponse, CommonResponse, HeaderMutation, HeadersResponse, ImmediateResponse,
    ProcessingResponse, StreamedBodyResponse, TrailersResponse,
};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Struct, Value};
use llmd_api::headers;

use crate::director::Rejection;

/// Largest body piece of one answer: Envoy's buffer for a streamed answer holds 64 KiB.
pub(super) const MAX_PIECE_BYTES: usize = 62_000;

/// Metadata namespace that load balancers of Envoy read.
const LB_NAMESPACE: &str = "envoy.lb";

/// The direction that an answer belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Request,
    Response,
}

/// Answer to request headers: where to send the request and what to change about it.
pub(super) fn request_headers(destination: &str, mutation: HeaderMutation) -> ProcessingResponse {
    let common = CommonResponse {
        header_mutation: Some(mutation),
        // Routes may match on the headers just set.
        clear_route_cache: true,
        ..CommonResponse::default()
    };
    ProcessingResponse {
        dynamic_metadata: Some(destination_metadata(destination)),
        ..reply(Response::RequestHeaders(HeadersResponse { response: Some(common) }))
    }
}

/// Answer to response headers.
pub(super) fn response_headers(mutation: HeaderMutation) -> ProcessingResponse {
    let common = CommonResponse { header_mutation: Some(mutation), ..CommonResponse::default() };
    reply(Response::ResponseHeaders(HeadersResponse { response: Some(common) }))
}

/// `body` in pieces that Envoy accepts. With `end_of_stream` the last piece carries the flag, and an empty
/// body is one empty piece; without, an empty body is no piece at all.
pub(super) fn body_pieces(
    direction: Direction,
    body: Vec<u8>,
    end_of_stream: bool,
) -> Vec<ProcessingResponse> {
    if body.len() <= MAX_PIECE_BYTES {
        let has_piece = end_of_stream || !body.is_empty();
        return has_piece.then(|| body_piece(direction, body, end_of_stream)).into_iter().collect();
    }
    let n_pieces = body.len().div_ceil(MAX_PIECE_BYTES);
    body.chunks(MAX_PIECE_BYTES)
        .enumerate()
        .map(|(idx, piece)| body_piece(direction, piece.to_vec(), end_of_stream && idx + 1 == n_pieces))
        .collect()
}

fn body_piece(direction: Direction, body: Vec<u8>, end_of_stream: bool) -> ProcessingResponse {
    let streamed = StreamedBodyResponse { body, end_of_stream, ..StreamedBodyResponse::default() };
    let mutation = BodyMutation { mutation: Some(Mutation::StreamedResponse(streamed)) };
    let common = CommonResponse { body_mutation: Some(mutation), ..CommonResponse::default() };
    let response = BodyResponse { response: Some(common) };
    reply(match direction {
        Direction::Request => Response::RequestBody(response),
        Direction::Response => Response::ResponseBody(response),
    })
}

/// Answer to trailers, which pass unchanged.
pub(super) fn trailers(direction: Direction) -> ProcessingResponse {
    let unchanged = TrailersResponse::default();
    reply(match direction {
        Direction::Request => Response::RequestTrailers(unchanged),
        Direction::Response => Response::ResponseTrailers(unchanged),
    })
}

/// Ends the exchange: Envoy answers the client with this and closes the stream.
pub(super) fn rejection(rejection: &Rejection) -> ProcessingResponse {
    let mut set_headers = vec![set_header("content-type", "text/plain; charset=utf-8")];
    if let Some(reason) = rejection.reason {
        set_headers.push(set_header(headers::REQUEST_DROPPED_REASON, reason));
    }
    reply(Response::ImmediateResponse(ImmediateResponse {
        status: Some(HttpStatus { code: i32::from(rejection.status) }),
        headers: Some(HeaderMutation { set_headers, remove_headers: Vec::new() }),
        body: format!("inference error: {}", rejection.message).into_bytes(),
        ..ImmediateResponse::default()
    }))
}

/// Replaces a header, in the raw form that also holds bytes outside UTF-8.
pub(super) fn set_header(name: &str, value: &str) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue {
            key: name.to_owned(),
            raw_value: value.as_bytes().to_vec(),
            ..HeaderValue::default()
        }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..HeaderValueOption::default()
    }
}

/// `envoy.lb` metadata with the same destination as the header, for load balancers that read metadata.
fn destination_metadata(destination: &str) -> Struct {
    let value = |kind| Value { kind: Some(kind) };
    let destination = value(Kind::StringValue(destination.to_owned()));
    let namespace = Struct { fields: [(headers::DESTINATION_ENDPOINT.to_owned(), destination)].into() };
    Struct { fields: [(LB_NAMESPACE.to_owned(), value(Kind::StructValue(namespace)))].into() }
}

fn reply(response: Response) -> ProcessingResponse {
    ProcessingResponse { response: Some(response), ..ProcessingResponse::default() }
}
