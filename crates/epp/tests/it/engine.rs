//! A model server on a free port: completions whole and streamed, models, metrics. It records what it was
//! asked, and streams a chunk only when the test says so.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream;
use llmd_common::serve::{Limits, serve};
use llmd_common::shutdown::Shutdown;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Semaphore;

/// Chunks of a streamed answer, before `[DONE]`.
pub(crate) const N_CHUNKS: usize = 3;

/// A request as the server saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|it| it.to_str().unwrap())
    }
}

#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    shutdown: Shutdown,
    grave: Option<DeadEndpoint>,
}

/// An address that refuses connections and that no other test gets: bound, but not listening.
#[derive(Debug)]
pub(crate) struct DeadEndpoint {
    socket: TcpSocket,
}

impl DeadEndpoint {
    pub(crate) fn new() -> Self {
        Self::at("127.0.0.1:0".parse().unwrap()).unwrap()
    }

    fn at(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(Self { socket })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }
}

#[derive(Debug)]
struct Shared {
    seen: Mutex<Vec<Seen>>,
    /// One permit lets one chunk of a streamed answer go.
    chunks: Semaphore,
    /// Streamed answers that were dropped before their end.
    n_aborted: AtomicUsize,
}

impl Engine {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            seen: Mutex::default(),
            chunks: Semaphore::new(0),
            n_aborted: AtomicUsize::new(0),
        });
        let router = Router::new()
            .route("/v1/completions", post(completions))
            .route("/v1/models", get(models))
            .route("/metrics", get(metrics))
            .with_state(Arc::clone(&shared));
        let shutdown = Shutdown::new();
        let service = hyper_util::service::TowerToHyperService::new(router);
        shutdown.spawn(serve(listener, service, None, Limits::default(), shutdown.clone()));
        Self { address, shared, shutdown, grave: None }
    }

    /// Closes the port and every connection, as a crash does.
    pub(crate) async fn crash(&mut self) {
        self.shutdown.draining().cancel();
        self.shutdown.cancelled().cancel();
        let address = self.address;
        crate::eventually("closed port", async || {
            self.grave = DeadEndpoint::at(address).ok();
            self.grave.is_some()
        })
        .await;
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Lets `n` chunks of streamed answers go.
    pub(crate) fn release(&self, n: usize) {
        self.shared.chunks.add_permits(n);
    }

    pub(crate) fn n_aborted(&self) -> usize {
        self.shared.n_aborted.load(Ordering::SeqCst)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shutdown.draining().cancel();
        self.shutdown.cancelled().cancel();
    }
}

async fn completions(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    shared.seen.lock().unwrap().push(Seen { path: uri.path().to_owned(), headers, body: body.clone() });
    let request: Value = serde_json::from_slice(&body).unwrap();
    let answer = |text: &str| json!({"object": "text_completion", "model": request["model"], "choices": [{"text": text}]});
    if request["stream"] != true {
        let mut whole = answer(&echo(&request));
        whole["usage"] = json!({"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4});
        return Json(whole).into_response();
    }
    let chunks = Chunks {
        shared,
        sent: 0,
        lines: (0..N_CHUNKS).map(|it| answer(&it.to_string()).to_string()).collect(),
    };
    let body = Body::from_stream(stream::unfold(chunks, Chunks::next));
    ([("content-type", "text/event-stream")], body).into_response()
}

/// The text of a whole answer, which shows whose prompt it answers.
fn echo(request: &Value) -> String {
    format!("echo: {}", request["prompt"].as_str().unwrap())
}

async fn models(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap) -> Json<Value> {
    shared.seen.lock().unwrap().push(Seen { path: uri.to_string(), headers, body: Bytes::new() });
    Json(json!({"object": "list", "data": [{"id": "llmd-tiny", "object": "model"}]}))
}

async fn metrics() -> &'static str {
    "vllm:num_requests_running{model_name=\"llmd-tiny\"} 0\n\
     vllm:num_requests_waiting{model_name=\"llmd-tiny\"} 0\n\
     vllm:kv_cache_usage_perc{model_name=\"llmd-tiny\"} 0\n"
}

struct Chunks {
    shared: Arc<Shared>,
    sent: usize,
    lines: Vec<String>,
}

impl Chunks {
    async fn next(mut self) -> Option<(Result<String, Infallible>, Self)> {
        if self.sent > self.lines.len() {
            return None;
        }
        let line = match self.lines.get(self.sent) {
            Some(line) => {
                let permit = self.shared.chunks.acquire().await.unwrap();
                permit.forget();
                format!("data: {line}\n\n")
            }
            None => "data: [DONE]\n\n".to_owned(),
        };
        self.sent += 1;
        Some((Ok(line), self))
    }
}

impl Drop for Chunks {
    fn drop(&mut self) {
        if self.sent <= self.lines.len() {
            self.shared.n_aborted.fetch_add(1, Ordering::SeqCst);
        }
    }
}
