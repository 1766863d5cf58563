//! What a client is told when a request fails: status, error type and JSON body in one place.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use llmd_api::openai::error::{ErrorInfo, ErrorResponse};
use llmd_api::openai::request::InvalidBody;

/// How long a client should wait before it tries a full server again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a request got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// The body is not a request.
    #[error("{}", .0.message)]
    Body(InvalidBody),
    /// The body is longer than the server reads.
    #[error("the request body is longer than {limit} bytes")]
    BodyTooLarge {
        /// Bytes accepted at most.
        limit: usize,
    },
    /// The body did not arrive in time.
    #[error("the request body did not arrive in time")]
    BodyTimeout,
    /// A field has a value outside its range or without meaning here.
    #[error("{message}")]
    Param {
        /// The field.
        param: &'static str,
        /// What is legal.
        message: String,
    },
    /// A field asks for something this server cannot do.
    #[error("not supported: {what}")]
    Unsupported {
        /// The field.
        param: &'static str,
        /// What was asked for, and what can be done instead.
        what: String,
    },
    /// The prompt leaves no room for an answer.
    #[error(
        "the prompt has {tokens} tokens, but the context of {limit} tokens must hold the prompt and at least one \
         token of the answer; shorten the prompt"
    )]
    PromptTooLong {
        /// How many, or a lower bound in words.
        tokens: String,
        /// Context length.
        limit: u32,
    },
    /// No model is served under this name.
    #[error("the model {name:?} does not exist; served: {}", served.join(", "))]
    UnknownModel {
        /// As asked for.
        name: String,
        /// Names that exist.
        served: Vec<String>,
    },
    /// No such path.
    #[error("there is nothing at {path:?}")]
    UnknownRoute {
        /// As asked for.
        path: String,
    },
    /// The path exists for other methods.
    #[error("{path:?} does not answer to {method}")]
    Method {
        /// As asked for.
        path: String,
        /// As asked for.
        method: String,
    },
    /// The queue is full.
    #[error("{0}; try again later")]
    QueueFull(String),
    /// The model is not loaded yet, or the server is going away.
    #[error("{0}")]
    NotReady(String),
    /// The engine could not compute the answer. Details are in the log.
    #[error("internal server error")]
    Generation,
    /// The engine thread is gone.
    #[error("the engine has stopped; restart the server")]
    EngineDead,
}

impl ApiError {
    /// HTTP status, also `error.code`.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Body(_) | Self::Param { .. } | Self::Unsupported { .. } | Self::PromptTooLong { .. } => {
                StatusCode::BAD_REQUEST
            }
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::UnknownModel { .. } | Self::UnknownRoute { .. } => StatusCode::NOT_FOUND,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::QueueFull(_) | Self::NotReady(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Generation | Self::EngineDead => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// `error.type`, in vLLM's words.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Body(_) => "Bad Request",
            Self::BodyTooLarge { .. } => "Content Too Large",
            Self::BodyTimeout => "Request Timeout",
            Self::Param { .. } | Self::Unsupported { .. } | Self::PromptTooLong { .. } => "BadRequestError",
            Self::UnknownModel { .. } => "NotFoundError",
            Self::UnknownRoute { .. } => "Not Found",
            Self::Method { .. } => "Method Not Allowed",
            Self::QueueFull(_) | Self::NotReady(_) => "Service Unavailable",
            Self::Generation | Self::EngineDead => "InternalServerError",
        }
    }

    fn param(&self) -> Option<String> {
        match self {
            Self::Body(invalid) => invalid.param.clone(),
            Self::Param { param, .. } | Self::Unsupported { param, .. } => Some((*param).to_owned()),
            Self::PromptTooLong { .. } => Some("input_tokens".to_owned()),
            Self::UnknownModel { .. } => Some("model".to_owned()),
            Self::BodyTooLarge { .. }
            | Self::BodyTimeout
            | Self::UnknownRoute { .. }
            | Self::Method { .. }
            | Self::QueueFull(_)
            | Self::NotReady(_)
            | Self::Generation
            | Self::EngineDead => None,
        }
    }

    /// An error for a field whose effect this server cannot give.
    #[must_use]
    pub fn unsupported(field: &'static str) -> Self {
        Self::Unsupported { param: field, what: format!("{field}; leave the field out") }
    }

    /// The JSON body, also sent as an event of a started stream.
    #[must_use]
    pub fn body(&self) -> ErrorResponse {
        ErrorResponse {
            error: ErrorInfo {
                message: self.to_string(),
                kind: self.kind().to_owned(),
                param: self.param(),
                code: self.status().as_u16(),
            },
        }
    }
}

impl From<InvalidBody> for ApiError {
    fn from(invalid: InvalidBody) -> Self {
        Self::Body(invalid)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status(), Json(self.body())).into_response();
        if matches!(self, Self::QueueFull(_)) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER.as_secs()));
        }
        response
    }
}
