//! A server in this process, and a client that reads what it sends.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use llmd_common::ready::Readiness;
use llmd_common::shutdown::{Shutdown, Times};
use llmd_engine::args::{Command, parse_from};
use llmd_engine::config::Config;
use llmd_engine::engine::EngineHandle;
use llmd_engine::startup;
use serde_json::Value;

/// Longer than anything in these tests takes.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn model_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../assets/models/llmd-tiny")
}

pub(super) fn golden() -> Value {
    serde_json::from_slice(&std::fs::read(model_dir().join("golden.json")).unwrap()).unwrap()
}

/// A configuration with one compute thread on a free port.
pub(super) fn config(flags: &[&str]) -> Config {
    let model = model_dir();
    let words =
        ["llmd-engine", "serve", model.to_str().unwrap(), "--served-model-name", "llmd-tiny", "alias"];
    let local = ["--host", "127.0.0.1", "--port", "0", "--threads", "1"];
    let words = words.iter().chain(&local).chain(flags).map(OsString::from);
    match parse_from(words, "", "info".to_owned()).unwrap().command {
        Command::Serve(args) => Config::try_from(*args).unwrap(),
        Command::Bench(_) => panic!("parsed as bench"),
    }
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) server: startup::Server,
    pub(super) shutdown: Shutdown,
    pub(super) readiness: Readiness,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Server {
    /// A server without its model.
    pub(super) async fn listening(config: &Config) -> Self {
        Self::all_listening(config).await.remove(0)
    }

    /// The servers of every port, without their model.
    pub(super) async fn all_listening(config: &Config) -> Vec<Self> {
        let (shutdown, readiness) = (Shutdown::new(), Readiness::new());
        let servers = startup::listen(config, &readiness, &shutdown).await.unwrap();
        let client: Client<_, _> = Client::builder(TokioExecutor::new()).build_http();
        let server = |server: startup::Server| Self {
            address: server.address,
            server,
            shutdown: shutdown.clone(),
            readiness: readiness.clone(),
            client: client.clone(),
        };
        servers.into_iter().map(server).collect()
    }

    pub(super) async fn load(&self, config: Config) -> Vec<EngineHandle> {
        startup::load(&Arc::new(config), &self.server, &self.shutdown).await.unwrap()
    }

    /// A server that answers, with further `flags`.
    pub(super) async fn start(flags: &[&str]) -> Self {
        let config = config(flags);
        let server = Self::listening(&config).await;
        server.load(config).await;
        server
    }

    /// Sends a request as it is.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Response<Incoming>, hyper_util::client::legacy::Error> {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.client.request(request.body(Full::new(body.into())).unwrap()).await
    }

    async fn whole(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Bytes) -> Reply {
        let sent = self.send(method, path, headers, body);
        Reply::of(tokio::time::timeout(PATIENCE, sent).await.expect("an answer in time").unwrap()).await
    }

    /// GET from another port of the process.
    pub(super) async fn get_at(&self, address: SocketAddr, path: &str) -> Reply {
        let sent = self.client.get(format!("http://{address}{path}").parse().unwrap());
        Reply::of(tokio::time::timeout(PATIENCE, sent).await.expect("an answer in time").unwrap()).await
    }

    pub(super) async fn get(&self, path: &str) -> Reply {
        self.whole(Method::GET, path, &[], Bytes::new()).await
    }

    pub(super) async fn request(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.whole(method, path, headers, Bytes::new()).await
    }

    /// Posts a body that says it is JSON.
    pub(super) async fn post_bytes(&self, path: &str, body: impl Into<Bytes>) -> Reply {
        self.whole(Method::POST, path, &[JSON], body.into()).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.post_bytes(path, body.to_string()).await
    }

    pub(super) async fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
        let headers: Vec<_> = headers.iter().copied().chain([JSON]).collect();
        self.whole(Method::POST, path, &headers, body.to_string().into()).await
    }

    /// The JSON of an answer with status 200.
    pub(super) async fn ask(&self, path: &str, body: &Value) -> Value {
        let reply = self.post(path, body).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
        reply.json()
    }

    /// The events of a stream, without the mark at the end.
    pub(super) async fn stream(&self, path: &str, body: &Value) -> Vec<Value> {
        let reply = self.post(path, body).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
        assert_eq!(reply.headers[header::CONTENT_TYPE], "text/event-stream; charset=utf-8");
        events(&reply.text())
    }

    /// The value of the series of this name, all labels summed.
    pub(super) async fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").await.text();
        let samples = text.lines().filter(|it| it.split(['{', ' ']).next() == Some(name));
        let values: Vec<f64> = samples.map(|it| it.rsplit(' ').next().unwrap().parse().unwrap()).collect();
        assert!(!values.is_empty(), "no series {name}");
        values.iter().sum()
    }

    /// Waits until the series has the value.
    pub(super) async fn wait_for(&self, name: &str, value: f64) {
        let deadline = Instant::now() + PATIENCE;
        while self.metric(name).await != value {
            assert!(Instant::now() < deadline, "{name} never became {value}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(super) async fn stop(&self, drain: Duration) -> bool {
        let times = Times { propagation: Duration::ZERO, drain };
        self.shutdown.finish(&self.readiness, times).await
    }
}

pub(super) const JSON: (&str, &str) = ("content-type", "application/json");
pub(super) const CHAT: &str = "/v1/chat/completions";
pub(super) const COMPLETIONS: &str = "/v1/completions";

pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    body: Bytes,
}

impl Reply {
    async fn of(response: Response<Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        let body = tokio::time::timeout(PATIENCE, body.collect()).await.expect("a body in time").unwrap();
        Self { status: parts.status, headers: parts.headers, body: body.to_bytes() }
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// Splits a whole stream into the JSON of its events and checks the framing.
pub(super) fn events(text: &str) -> Vec<Value> {
    let body = text.strip_suffix("data: [DONE]\n\n").unwrap_or_else(|| panic!("no end mark: {text:?}"));
    let frames = body.split_terminator("\n\n");
    let data = frames.map(|it| it.strip_prefix("data: ").unwrap_or_else(|| panic!("no data line: {it:?}")));
    data.map(|it| serde_json::from_str(it).unwrap_or_else(|error| panic!("{error}: {it:?}"))).collect()
}

/// The texts that the chunks of a stream add to choice `index`.
pub(super) fn streamed_text(events: &[Value], index: u64) -> String {
    let choices = events.iter().flat_map(|it| it["choices"].as_array().unwrap());
    let of_index = choices.filter(|it| it["index"] == index);
    of_index.filter_map(|it| it["delta"]["content"].as_str().or_else(|| it["text"].as_str())).collect()
}
