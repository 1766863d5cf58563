//! Request bodies: media type, size and time limits, and a place for heavy work on them.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::header;
use llmd_api::openai::request::InvalidBody;

use super::error::ApiError;
use super::state::App;

/// For a whole body to arrive.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Bodies above this many bytes are parsed and tokenised off the event loop.
const INLINE_BYTES: usize = 8 << 10;

/// The bytes of a body that says it is JSON.
#[derive(Debug)]
pub struct JsonBody(pub Bytes);

impl FromRequest<Arc<App>> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        if !is_json(&request) {
            return Err(invalid("the content type must be application/json"));
        }
        let limit = app.http.max_body_bytes;
        let declared = request.headers().get(header::CONTENT_LENGTH);
        let declared: Option<usize> = declared.and_then(|it| it.to_str().ok()?.parse().ok());
        if declared.is_some_and(|it| it > limit) {
            return Err(ApiError::BodyTooLarge { limit });
        }
        let read = tokio::time::timeout(READ_TIMEOUT, to_bytes(request.into_body(), limit));
        match read.await {
            Ok(Ok(bytes)) => Ok(Self(bytes)),
            // A body that ends early has nobody left to read this, so the limit is what is worth saying.
            Ok(Err(_)) => Err(ApiError::BodyTooLarge { limit }),
            Err(_) => Err(ApiError::BodyTimeout),
        }
    }
}

fn is_json(request: &Request) -> bool {
    let value = request.headers().get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok());
    let media_type = value.and_then(|it| it.split(';').next()).map(str::trim);
    media_type.is_some_and(|it| it.eq_ignore_ascii_case("application/json"))
}

fn invalid(message: &str) -> ApiError {
    ApiError::Body(InvalidBody { param: None, message: message.to_owned() })
}

/// Runs `work` on a body of `len` bytes: here when it is short, on a blocking thread when it is not.
///
/// # Errors
/// Those of `work`, and [`ApiError::Generation`] when it panics.
pub async fn offload<T: Send + 'static>(
    len: usize,
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    if len <= INLINE_BYTES {
        return work();
    }
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        tracing::error!(%error, "preparing a request failed");
        Err(ApiError::Generation)
    })
}
