//! A plain HTTP client over hyper, one connection a request.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::within;

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// An answer whose body is still coming.
#[derive(Debug)]
pub(crate) struct Streaming {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Incoming,
}

impl Streaming {
    /// The next piece of the body; `None` at its end.
    pub(crate) async fn next(&mut self) -> Option<String> {
        loop {
            let frame = within("piece of a body", self.body.frame()).await?.unwrap();
            if let Ok(data) = frame.into_data() {
                return Some(String::from_utf8(data.to_vec()).unwrap());
            }
        }
    }
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    send(address, Method::GET, path, &[], "").await
}

pub(crate) async fn post(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    send(address, Method::POST, path, headers, body).await
}

/// Sends `n` completions with different prompts at once and checks that each answer is to its own prompt.
pub(crate) async fn check_concurrent_completions(address: SocketAddr, n: usize) {
    let answers = (0..n).map(|idx| async move {
        let body = format!(r#"{{"model":"llmd-tiny","prompt":"question {idx}"}}"#);
        let answer = post(address, "/v1/completions", &[], &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["choices"][0]["text"], format!("echo: question {idx}"));
    });
    futures_util::future::join_all(answers).await;
}

async fn send(
    address: SocketAddr,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let streaming = start(address, method, path, headers, body).await;
    let collected = within("whole body", streaming.body.collect()).await.unwrap();
    Answer { status: streaming.status, headers: streaming.headers, body: collected.to_bytes() }
}

/// Sends a request and returns as soon as the head of the answer is here. The connection lives as long as
/// the answer.
pub(crate) async fn start(
    address: SocketAddr,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Streaming {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header("host", address.to_string());
    for &(name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap();
    let response = within("answer", sender.send_request(request)).await.unwrap();
    let (parts, body) = response.into_parts();
    Streaming { status: parts.status, headers: parts.headers, body }
}
