//! The HTTP surface: OpenAI's and vLLM's routes over one engine, or over the data-parallel ranks behind one port.
//!
//! A request is checked into types that hold only legal values, becomes sequences of the engine, and its answer is
//! assembled from what the engine sends back. Nothing here knows how tokens are scheduled or computed, and nothing
//! here blocks: parsing and tokenising large bodies happens on threads of their own.
//!
//! The routes exist from the start. Until the model is loaded they answer 503, and `/health` says how far it is.

pub mod balance;
pub mod body;
pub mod chat;
pub mod completion;
pub mod error;
pub mod generate;
pub mod guard;
pub mod health;
pub mod models;
pub mod prompt;
pub mod sse;
pub mod state;
pub mod submit;
pub mod supervisor;
pub mod tokenize;
pub mod tokens;
pub mod usage;
pub mod validate;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use llmd_common::metrics as prometheus_text;

pub use balance::{Rank, Ranks};
use body::JsonBody;
use error::ApiError;
pub use models::Models;
pub use prompt::Prompter;
pub use state::{App, Serving};
pub use submit::Submitter;
pub use validate::Rules;

/// All routes of `app`.
pub fn router(app: Arc<App>) -> Router {
    let routes = Router::new()
        .route("/health", get(health::health))
        .route("/ping", get(health::health).post(health::health))
        .route("/version", get(health::version))
        .route("/load", get(health::load))
        .route("/metrics", get(metrics))
        .route("/v1/models", get(models::list))
        .route("/v1/chat/completions", post(chat_completions))
        .route("/v1/completions", post(completions))
        .route("/tokenize", post(tokenize::tokenize))
        .route("/detokenize", post(tokenize::detokenize));
    let root = app.http.root_path.clone();
    let routes = if root.is_empty() { routes } else { routes.clone().nest(&root, routes) };
    routes
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_method)
        .layer(middleware::from_fn_with_state(Arc::clone(&app), guard::check_key))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), guard::echo_request_id))
        .with_state(app)
}

async fn chat_completions(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    generate::answer(&app, headers, body, chat::prepare).await
}

async fn completions(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    generate::answer(&app, headers, body, completion::prepare).await
}

/// Unavailable until every series exists, so that whoever scrapes does not take a loading engine for an idle one.
async fn metrics(State(app): State<Arc<App>>) -> Result<impl IntoResponse, ApiError> {
    app.serving()?;
    let content_type = [(header::CONTENT_TYPE, prometheus_text::CONTENT_TYPE)];
    Ok((content_type, prometheus_text::render(&app.registry)))
}

async fn unknown_route(request: Request) -> ApiError {
    ApiError::UnknownRoute { path: request.uri().path().to_owned() }
}

async fn unknown_method(request: Request) -> ApiError {
    ApiError::Method { path: request.uri().path().to_owned(), method: request.method().to_string() }
}
