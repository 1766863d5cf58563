//! One word on several servers of a process: healthy when each of them is.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::health;
use super::state::App;

/// `/health`, `/ready` and `/readyz` over `apps`: 200, or 503 and what is wrong with which of them.
pub fn router(apps: Vec<Arc<App>>) -> Router {
    Router::new()
        .route("/health", get(all_healthy))
        .route("/ready", get(all_healthy))
        .route("/readyz", get(all_healthy))
        .with_state(Arc::new(apps))
}

async fn all_healthy(State(apps): State<Arc<Vec<Arc<App>>>>) -> Response {
    let problem = |(idx, app): (usize, &Arc<App>)| Some(format!("server {idx}: {}", health::problem(app)?));
    let problems: Vec<String> = apps.iter().enumerate().filter_map(problem).collect();
    if problems.is_empty() {
        return StatusCode::OK.into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, problems.join("; ")).into_response()
}
