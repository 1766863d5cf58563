//! Reviews over HTTPS.
//!
//! Limits: a body has a size and a time to arrive, and only so many reviews are held at once; further requests
//! wait for their turn, and the API server gives up on them after its own timeout.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{HttpBody, to_bytes};
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper_util::service::TowerToHyperService;
use llmd_common::serve::Limits;
use llmd_common::shutdown::Shutdown;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::review::{HOOKS, Malformed, review};
use super::{Cluster, convert};

/// Where objects are converted between versions.
pub const CONVERT: &str = "/convert";
/// Protocols that the server speaks, for its TLS configuration.
pub const ALPN: &[&[u8]] = &[b"h2", b"http/1.1"];

/// Largest AdmissionReview: two objects of at most 3 MiB, the API server's limit of a request, and their frame.
const MAX_ADMISSION_BYTES: usize = 8 << 20;
/// Largest ConversionReview: all objects of one list come in one request.
const MAX_CONVERSION_BYTES: usize = 64 << 20;
/// Time a body has to arrive; the API server waits no longer for its answer.
const BODY_DEADLINE: Duration = Duration::from_secs(10);
/// Reviews in memory at a time.
const MAX_REVIEWS: usize = 32;
const LIMITS: Limits = Limits {
    max_connections: 512,
    header_timeout: Duration::from_secs(10),
    max_header_bytes: 64 << 10,
    peer_timeout: Duration::from_secs(30),
};

/// Serves reviews on `listener` until `shutdown` drains.
pub async fn serve(listener: TcpListener, tls: ServerConfig, cluster: Arc<dyn Cluster>, shutdown: Shutdown) {
    let service = TowerToHyperService::new(router(&cluster));
    llmd_common::serve::serve(listener, service, Some(TlsAcceptor::from(Arc::new(tls))), LIMITS, shutdown)
        .await;
}

/// The routes of every webhook, and `/healthz` for probes that find out whether TLS works.
pub fn router(cluster: &Arc<dyn Cluster>) -> Router {
    let turns = Arc::new(Semaphore::new(MAX_REVIEWS));
    let mut routes = Router::new();
    for (path, hook) in HOOKS {
        let (cluster, turns) = (Arc::clone(cluster), Arc::clone(&turns));
        let handler = move |request: Request| {
            answer(request, MAX_ADMISSION_BYTES, turns, move |body| review(hook, body, cluster.as_ref()))
        };
        routes = routes.route(path, post(handler));
    }
    let convert = move |request: Request| answer(request, MAX_CONVERSION_BYTES, turns, convert::review);
    routes.route(CONVERT, post(convert)).route("/healthz", get(|| async { "ok" }))
}

/// Reads the body and answers it on a thread of its own, where a long list stalls nobody.
async fn answer<T, F>(request: Request, limit: usize, turns: Arc<Semaphore>, review: F) -> Response
where
    T: Serialize + 'static,
    F: FnOnce(&[u8]) -> Result<T, Malformed> + Send + 'static,
{
    let too_large =
        || (StatusCode::PAYLOAD_TOO_LARGE, format!("the body exceeds {limit} bytes\n")).into_response();
    let body = request.into_body();
    if body.size_hint().lower() > limit as u64 {
        return too_large();
    }
    let Ok(turn) = turns.acquire_owned().await else {
        return (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n").into_response();
    };
    let body = match tokio::time::timeout(BODY_DEADLINE, to_bytes(body, limit)).await {
        Ok(Ok(body)) => body,
        // A client that broke off hears nothing of it.
        Ok(Err(_)) => return too_large(),
        Err(_) => return (StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time\n").into_response(),
    };
    let answered = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        review(&body).map(|it| serde_json::to_vec(&it))
    });
    match answered.await {
        Ok(Ok(Ok(json))) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        Ok(Err(malformed)) => (StatusCode::BAD_REQUEST, format!("{malformed}\n")).into_response(),
        Ok(Ok(Err(error))) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
        Err(error) => {
            tracing::error!(%error, "a review panicked");
            (StatusCode::INTERNAL_SERVER_ERROR, "the review failed\n").into_response()
        }
    }
}

#[cfg(test)]
mod tests;
