//! Why a request got no answer from an endpoint, as the client reads it: OpenAI's error object.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use llmd_api::headers::REQUEST_DROPPED_REASON;
use llmd_api::openai::error::ErrorResponse;
use llmd_common::proxy::body::ReadError;

use crate::director::Rejection;

/// A request that ends at the proxy.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    /// The director refused it.
    #[error("{}", message_of(.0))]
    Rejected(Rejection),
    /// The process cannot serve anything yet, or any more.
    #[error("not ready: {0}")]
    NotReady(String),
    /// No endpoint accepts connections.
    #[error("no endpoint accepts connections; try again")]
    Unreachable,
    /// The endpoint closed the connection after it had the request.
    #[error("the endpoint closed the connection before it answered")]
    BrokenOff,
    /// An endpoint list holds something that is no address.
    #[error("endpoint address {0:?} cannot be used")]
    BadDestination(String),
    /// The client's body is too large, too slow or broken.
    #[error("{0}")]
    Body(#[from] ReadError),
    /// The endpoint did not answer in time.
    #[error("the endpoint did not answer within {} s", limit.as_secs_f64())]
    Silent {
        /// The limit.
        limit: Duration,
    },
    /// A request line without a path, such as CONNECT's.
    #[error("the request names no path")]
    NoPath,
}

impl Problem {
    fn status(&self) -> StatusCode {
        match self {
            Self::Rejected(rejection) => {
                StatusCode::from_u16(rejection.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }
            Self::NotReady(_) | Self::Unreachable => StatusCode::SERVICE_UNAVAILABLE,
            Self::BrokenOff => StatusCode::BAD_GATEWAY,
            Self::BadDestination(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Silent { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::Body(ReadError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(ReadError::Slow) => StatusCode::REQUEST_TIMEOUT,
            Self::Body(ReadError::Broken(_)) | Self::NoPath => StatusCode::BAD_REQUEST,
        }
    }

    /// The answer to the client.
    pub(super) fn response(&self) -> Response<Full<Bytes>> {
        let status = self.status();
        let error = ErrorResponse::new(status.as_u16(), kind(status), self.to_string());
        let body = serde_json::to_vec(&error).unwrap_or_default();
        let mut response = Response::new(Full::new(body.into()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if let Self::Rejected(Rejection { reason: Some(reason), .. }) = self {
            headers.insert(REQUEST_DROPPED_REASON, HeaderValue::from_static(reason));
        }
        response
    }
}

/// The message without the code that precedes it on the ext_proc side.
fn message_of(rejection: &Rejection) -> &str {
    rejection.message.split_once(" - ").map_or(&rejection.message, |(_code, message)| message)
}

/// vLLM's error types, extended in their style.
fn kind(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "BadRequestError",
        StatusCode::UNAUTHORIZED => "AuthenticationError",
        StatusCode::FORBIDDEN => "PermissionDeniedError",
        StatusCode::NOT_FOUND => "NotFoundError",
        StatusCode::REQUEST_TIMEOUT => "RequestTimeoutError",
        StatusCode::PRECONDITION_FAILED => "PreconditionFailedError",
        StatusCode::PAYLOAD_TOO_LARGE => "RequestEntityTooLargeError",
        StatusCode::TOO_MANY_REQUESTS => "RateLimitError",
        StatusCode::BAD_GATEWAY => "BadGatewayError",
        StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailableError",
        StatusCode::GATEWAY_TIMEOUT => "GatewayTimeoutError",
        _ => "InternalServerError",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn a_rejection_keeps_its_status_and_reason_and_loses_its_code_text() {
        let rejection = Rejection {
            status: 429,
            message: "ResourceExhausted - no endpoints available for the given request".to_owned(),
            reason: Some("rejected-saturated"),
        };
        let response = Problem::Rejected(rejection).response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()[REQUEST_DROPPED_REASON], "rejected-saturated");
        assert_eq!(response.headers()[RETRY_AFTER], "1");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(
            str::from_utf8(&body).unwrap(),
            r#"{"error":{"message":"no endpoints available for the given request","type":"RateLimitError","param":null,"code":429}}"#
        );
    }
}
