//! Whether the server works, which version it is, and how busy.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use llmd_api::vllm::version::{COMPATIBLE_WITH, Version};
use serde_json::{Value, json};

use super::state::App;
use crate::engine::EngineHealth;

/// `GET /health`: 200 without a body when requests get answers, else 503 and why as plain text.
pub async fn health(State(app): State<Arc<App>>) -> Response {
    match problem(&app) {
        None => StatusCode::OK.into_response(),
        Some(problem) => (StatusCode::SERVICE_UNAVAILABLE, problem).into_response(),
    }
}

/// Why requests would get no answer.
pub(super) fn problem(app: &App) -> Option<String> {
    let missing = app.readiness.missing();
    if !missing.is_empty() {
        return Some(missing.join("; "));
    }
    let serving = match app.serving() {
        Ok(serving) => serving,
        Err(loading) => return Some(loading.to_string()),
    };
    serving.submitter.ranks().iter().find_map(|it| problem_of(it.engine.health(), app.http.stall_timeout))
}

fn problem_of(health: &EngineHealth, stall_timeout: Duration) -> Option<String> {
    if !health.is_alive() {
        return Some("the engine has stopped".to_owned());
    }
    let stalled = health.stalled_for(Instant::now());
    (stalled > stall_timeout)
        .then(|| format!("requests run, but no step has ended for {} s", stalled.as_secs()))
}

/// `GET /version`.
pub async fn version() -> Json<Version> {
    Json(Version { version: COMPATIBLE_WITH })
}

/// `GET /load`: requests being answered, when the server was told to count them.
pub async fn load(State(app): State<Arc<App>>) -> Json<Value> {
    let server_load = if app.http.track_load { app.n_in_flight() } else { 0 };
    Json(json!({ "server_load": server_load }))
}
