//! What happens around every request: the API key and the request id.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use llmd_api::headers;
use serde_json::json;

use super::state::App;

/// Paths that need a key; probes and metrics do not.
const GUARDED: [&str; 4] = ["/v1", "/v2", "/inference", "/cohere"];

/// Refuses requests without a key where one is needed.
pub async fn check_key(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let path = path.strip_prefix(app.http.root_path.as_str()).unwrap_or(path);
    let keys = &app.http.api_keys;
    let is_guarded = GUARDED.iter().any(|it| path.starts_with(it)) && request.method() != Method::OPTIONS;
    if keys.is_open() || !is_guarded || bearer(&request).is_some_and(|it| keys.contains(it)) {
        return next.run(request).await;
    }
    (StatusCode::UNAUTHORIZED, Json(json!({ "error": "Unauthorized" }))).into_response()
}

fn bearer(request: &Request) -> Option<&str> {
    let (scheme, key) = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// Puts the request id on the response, a new one when the client sent none.
pub async fn echo_request_id(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if !app.http.echo_request_id {
        return next.run(request).await;
    }
    let id = request.headers().get(headers::REQUEST_ID).cloned().or_else(fresh_id);
    let mut response = next.run(request).await;
    if let Some(id) = id {
        response.headers_mut().insert(headers::REQUEST_ID, id);
    }
    response
}

fn fresh_id() -> Option<HeaderValue> {
    HeaderValue::try_from(uuid::Uuid::new_v4().simple().to_string()).ok()
}
