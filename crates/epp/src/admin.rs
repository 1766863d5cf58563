//! The admin pages: metrics, liveness, readiness and the last decisions.
//!
//! Upstream asks Kubernetes whether a reader of `/metrics` may read it. Without Kubernetes there is nobody to
//! ask, so these pages are open to whoever reaches the port.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use llmd_api::admin::DEBUG_DECISIONS;
use llmd_common::admin;
use llmd_common::ready::Readiness;
use prometheus::Registry;
use serde_json::Value;

use crate::director::Director;

/// Routes `/metrics`, `/livez`, `/readyz` and `/debug/decisions`.
pub fn router(readiness: Readiness, registry: Registry, director: Arc<Director>) -> Router {
    admin::router(readiness, registry)
        .merge(Router::new().route(DEBUG_DECISIONS, get(decisions)).with_state(director))
}

async fn decisions(State(director): State<Arc<Director>>) -> Json<Value> {
    Json(director.decisions().snapshot())
}
