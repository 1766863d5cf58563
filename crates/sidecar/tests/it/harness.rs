//! A fake engine that speaks HTTP for real, a sidecar started from flags, and a small client.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use clap::Parser as _;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use llmd_common::shutdown::Shutdown;
use llmd_sidecar::args::{Args, Env};
use llmd_sidecar::config::Config;
use llmd_sidecar::server::Sidecar;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Long enough for a busy machine; only a failing test waits this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A request as an engine got it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|it| it.to_str().unwrap())
    }
}

type Answer = dyn Fn(&Seen, usize) -> Response + Send + Sync;

/// An engine that answers by a function of the request and its number, and keeps every request.
pub(crate) struct FakeEngine {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    server: JoinHandle<()>,
}

#[derive(Clone)]
struct Recorder {
    seen: Arc<Mutex<Vec<Seen>>>,
    answer: Arc<Answer>,
}

impl FakeEngine {
    pub(crate) async fn start(answer: impl Fn(&Seen, usize) -> Response + Send + Sync + 'static) -> Self {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::at(any_port, answer).await.expect("some port is free")
    }

    /// One at a given address, if that is free.
    pub(crate) async fn at(
        address: SocketAddr,
        answer: impl Fn(&Seen, usize) -> Response + Send + Sync + 'static,
    ) -> Option<Self> {
        let listener = TcpListener::bind(address).await.ok()?;
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let recorder = Recorder { seen: Arc::clone(&seen), answer: Arc::new(answer) };
        let router = Router::new().fallback(record).with_state(recorder);
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Some(Self { address, seen, server })
    }

    /// One that answers every request with the same JSON.
    pub(crate) async fn json(body: &'static str) -> Self {
        Self::start(move |_, _| json(200, body)).await
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The one request that reached the engine.
    #[track_caller]
    pub(crate) fn only(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen[0].clone()
    }
}

impl Drop for FakeEngine {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn record(State(recorder): State<Recorder>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let path = parts.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    let seen = Seen { method: parts.method, path, headers: parts.headers, body };
    let index = {
        let mut all = recorder.seen.lock().unwrap();
        all.push(seen.clone());
        all.len() - 1
    };
    (recorder.answer)(&seen, index)
}

pub(crate) fn json(status: u16, body: impl Into<Body>) -> Response {
    Response::builder().status(status).header("content-type", "application/json").body(body.into()).unwrap()
}

/// An address where nothing listens.
pub(crate) async fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// A running sidecar.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) shutdown: Shutdown,
    pub(crate) done: JoinHandle<std::io::Result<bool>>,
}

/// Starts a sidecar in front of `engine`, plain HTTP on a free port, with further flags.
pub(crate) async fn sidecar(engine: SocketAddr, flags: &[&str]) -> Running {
    start(engine, &[&["--secure-proxy=false"], flags].concat()).await
}

/// Starts a sidecar with these flags only.
pub(crate) async fn start(engine: SocketAddr, flags: &[&str]) -> Running {
    run(config(engine, flags)).await
}

/// The settings of a sidecar on free ports in front of `engine`.
pub(crate) fn config(engine: SocketAddr, flags: &[&str]) -> Config {
    let engine_port = format!("--model-server-port={}", engine.port());
    let fixed = ["llmd-sidecar", "--host=127.0.0.1", "--port=0", engine_port.as_str()];
    let args = Args::try_parse_from(fixed.iter().chain(flags)).unwrap();
    Config::new(args, &Env::default()).unwrap()
}

/// Starts a sidecar.
pub(crate) async fn run(config: Config) -> Running {
    let shutdown = Shutdown::new();
    let sidecar = Sidecar::bind(config, shutdown.clone()).await.unwrap();
    let (addresses, admin) = (sidecar.addresses().to_vec(), sidecar.admin_address());
    let done = tokio::spawn(sidecar.run());
    Running { address: addresses[0], addresses, admin, shutdown, done }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.draining().cancel();
        self.shutdown.cancelled().cancel();
    }
}

/// A response with all of its body.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// Checks the sidecar's own error object.
    #[track_caller]
    pub(crate) fn assert_error(&self, code: u16, kind: &str) {
        assert_eq!(self.status, code, "{}", self.text());
        assert_eq!(self.headers["content-type"], "application/json");
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(
            (&body["object"], &body["code"], &body["type"]),
            (&"error".into(), &code.into(), &kind.into())
        );
        assert!(body["message"].as_str().is_some_and(|it| !it.is_empty()) && body["param"] == "");
    }
}

/// Sends a request to a path of `address`, with headers as pairs.
pub(crate) async fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> http::Response<Incoming> {
    let mut request = Request::builder().method(method).uri(format!("http://{address}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let sent = client.request(request.body(Full::new(body.into())).unwrap());
    tokio::time::timeout(PATIENCE, sent).await.expect("the sidecar answers").unwrap()
}

/// As [`send`], with the body collected.
pub(crate) async fn call(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Reply {
    let (parts, body) = send(address, method, path, headers, body).await.into_parts();
    let body = tokio::time::timeout(PATIENCE, body.collect()).await.expect("the body ends").unwrap();
    Reply { status: parts.status, headers: parts.headers, body: body.to_bytes() }
}

/// A completion through prefill endpoints given as the header's value.
pub(crate) async fn complete(address: SocketAddr, prefillers: &str, body: &'static str) -> Reply {
    let headers = [("x-prefiller-host-port", prefillers), ("content-type", "application/json")];
    call(address, "POST", "/v1/completions", &headers, body).await
}

/// Waits until a condition holds.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
