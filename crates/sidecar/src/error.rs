//! Why the sidecar answers itself instead of an engine, and how that looks on the wire.
//!
//! The body is vLLM's error object, with its content type set.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use llmd_common::proxy::body::ReadError;
use serde::Serialize;

use crate::allowlist::Denied;
use crate::body::ResponseBody;
use crate::route::MalformedEndpoint;
use crate::upstream::SendError;

/// A request that no engine answers.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client's body cannot be split into two legs.
    #[error("the request body is no JSON object")]
    Body(#[source] serde_json::Error),
    /// The client's body is too large, too slow or broken.
    #[error(transparent)]
    ReadBody(#[from] ReadError),
    /// The prefill header cannot be read.
    #[error(transparent)]
    PrefillHeader(#[from] MalformedEndpoint),
    /// The prefill header names no endpoint that may be called.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The data-parallel header names a rank that is not here.
    #[error("{value:?} is no data-parallel rank of this pod")]
    UnknownRank {
        /// The header's value.
        value: String,
    },
    /// A method that makes no sense to an HTTP engine.
    #[error("CONNECT is not supported")]
    Tunnel,
    /// A prefill engine answered 2xx with something else than JSON.
    #[error("the prefill endpoint answered no JSON object")]
    PrefillReply(#[source] serde_json::Error),
    /// A prefill engine did not answer.
    #[error("the prefill endpoint did not answer")]
    Prefill(#[source] SendError),
    /// All prefill attempts together took too long.
    #[error("prefill did not end within {seconds} s")]
    PrefillTimeout {
        /// The limit.
        seconds: u64,
    },
    /// The local engine did not answer.
    #[error("the decode engine did not answer")]
    Decode(#[source] SendError),
    /// A bug: the handler panicked. Only this request is lost.
    #[error("the sidecar failed on this request")]
    Panic,
}

impl Error {
    /// The HTTP status and vLLM's name for it.
    #[must_use]
    pub const fn status(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Body(_)
            | Self::ReadBody(ReadError::Broken(_))
            | Self::PrefillHeader(_)
            | Self::UnknownRank { .. }
            | Self::Tunnel
            | Self::PrefillReply(_) => (StatusCode::BAD_REQUEST, "BadRequestError"),
            Self::Denied(Denied::NoMember { .. }) => (StatusCode::FORBIDDEN, "Forbidden"),
            Self::ReadBody(ReadError::Slow) => (StatusCode::REQUEST_TIMEOUT, "RequestTimeout"),
            Self::ReadBody(ReadError::TooLarge { .. }) => {
                (StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge")
            }
            Self::Decode(SendError::Connect(_)) | Self::Denied(Denied::Unknown) => {
                (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable")
            }
            Self::Decode(SendError::Timeout { .. }) | Self::PrefillTimeout { .. } => {
                (StatusCode::GATEWAY_TIMEOUT, "GatewayTimeout")
            }
            Self::Decode(SendError::Transport(_)) | Self::Prefill(_) => {
                (StatusCode::BAD_GATEWAY, "BadGateway")
            }
            Self::Panic => (StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError"),
        }
    }

    /// The answer to the client. The cause is told for the client's own mistakes and kept to the log otherwise,
    /// because it names addresses inside the cluster.
    #[must_use]
    pub fn response(&self) -> Response<ResponseBody> {
        let (status, kind) = self.status();
        let report = llmd_common::report::Report(self);
        let message = match self {
            Self::Decode(SendError::Connect(_)) => {
                "the decode node is not ready: cannot connect to its engine".to_owned()
            }
            _ if status.is_client_error() => report.to_string(),
            _ => self.to_string(),
        };
        if status.is_server_error() {
            tracing::warn!(status = status.as_u16(), error = %report, "request failed");
        }
        error_response(status, kind, &message)
    }
}

fn error_response(status: StatusCode, kind: &str, message: &str) -> Response<ResponseBody> {
    #[derive(Serialize)]
    struct ErrorBody<'a> {
        object: &'a str,
        message: &'a str,
        r#type: &'a str,
        param: &'a str,
        code: u16,
    }
    let body = ErrorBody { object: "error", message, r#type: kind, param: "", code: status.as_u16() };
    let json = serde_json::to_vec(&body).expect("a struct of texts and a number is always JSON");
    let mut response = Response::new(ResponseBody::full(Bytes::from(json)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
