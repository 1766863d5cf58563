//! A small HTTP client with a deadline on everything.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

/// Every call ends within this time, in an answer or an error.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Connecting is a matter of milliseconds. What was sent to a Service before the node knew it stays without an answer,
/// and only another try gets one.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// A whole response.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: StatusCode,
    /// Response headers.
    pub headers: HeaderMap,
    /// Response body.
    pub body: Bytes,
}

impl Reply {
    /// The body as text; invalid UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is not JSON; the text is in the message.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {:?}", self.text()))
    }
}

/// A response whose body is read piece by piece. Dropping it closes the connection: the client has gone away.
#[derive(Debug)]
pub struct Stream {
    /// HTTP status.
    pub status: StatusCode,
    body: Incoming,
}

impl Stream {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// When the stream breaks off, or stays silent for [`DEADLINE`].
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        let frame = tokio::time::timeout(DEADLINE, self.body.frame()).await;
        let frame = frame.with_context(|| format!("the stream is silent for {DEADLINE:?}"))?;
        Ok(frame.transpose()?.map(|it| it.into_data().unwrap_or_default()))
    }

    /// The text of the chat whose beginning is in `read`.
    ///
    /// # Errors
    /// When the stream breaks off, carries an error or does not end in `[DONE]`.
    pub async fn chat_text(mut self, read: Bytes) -> Result<String> {
        let mut text = read.to_vec();
        while let Some(piece) = self.next().await? {
            text.extend_from_slice(&piece);
        }
        sse_text(&String::from_utf8(text)?)
    }
}

/// A client of one base URL with a connection pool.
#[derive(Debug, Clone)]
pub struct Client {
    base: String,
    http: HyperClient<HttpConnector, Full<Bytes>>,
}

impl Client {
    /// A client of `base`, without `/v1`.
    #[must_use]
    pub fn new(base: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_DEADLINE));
        let http = HyperClient::builder(TokioExecutor::new()).build(connector);
        Self { base: base.trim_end_matches('/').to_owned(), http }
    }

    /// The base URL.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Sends a request and reads the whole response.
    ///
    /// # Errors
    /// When there is no response within [`DEADLINE`].
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Reply> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body))?;
        tokio::time::timeout(DEADLINE, async {
            let response = self.http.request(request).await?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok(Reply { status: parts.status, headers: parts.headers, body })
        })
        .await
        .with_context(|| format!("no answer to {path} within {DEADLINE:?}"))?
    }

    /// POST of JSON; returns when the response head is there.
    ///
    /// # Errors
    /// When there is no response head within [`DEADLINE`].
    pub async fn stream(&self, path: &str, body: &Value) -> Result<Stream> {
        let request = Request::builder().method(Method::POST).uri(format!("{}{path}", self.base));
        let request = request.header("content-type", "application/json");
        let request = request.body(Full::new(Bytes::from(body.to_string())))?;
        let response = tokio::time::timeout(DEADLINE, self.http.request(request)).await;
        let response = response.with_context(|| format!("no answer to {path} within {DEADLINE:?}"))??;
        Ok(Stream { status: response.status(), body: response.into_body() })
    }

    /// GET.
    ///
    /// # Errors
    /// See [`Client::send`].
    pub async fn get(&self, path: &str) -> Result<Reply> {
        self.send(Method::GET, path, &[], Bytes::new()).await
    }

    /// POST of JSON text, which need not be valid.
    ///
    /// # Errors
    /// See [`Client::send`].
    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> Result<Reply> {
        self.send(Method::POST, path, &[("content-type", "application/json")], body.into()).await
    }

    /// A greedy chat; the reply is returned whatever its status.
    ///
    /// # Errors
    /// See [`Client::send`].
    pub async fn chat(&self, model: &str, messages: &Value) -> Result<Reply> {
        self.post("/v1/chat/completions", chat_body(model, messages, false).to_string()).await
    }

    /// A greedy chat that must succeed; the answer's text.
    ///
    /// # Errors
    /// When the status is not 200 or the body has no text.
    pub async fn chat_text(&self, model: &str, messages: &Value) -> Result<String> {
        let reply = self.chat(model, messages).await?;
        if reply.status != StatusCode::OK {
            bail!("status {}: {}", reply.status, reply.text());
        }
        let json = reply.json()?;
        let text = json["choices"][0]["message"]["content"].as_str();
        Ok(text.with_context(|| format!("no content in {json}"))?.to_owned())
    }

    /// A greedy streamed chat that must succeed; the concatenated deltas.
    ///
    /// # Errors
    /// When the stream breaks off, carries an error or does not end in `[DONE]`.
    pub async fn chat_stream_text(&self, model: &str, messages: &Value) -> Result<String> {
        let reply = self.post("/v1/chat/completions", chat_body(model, messages, true).to_string()).await?;
        if reply.status != StatusCode::OK {
            bail!("status {}: {}", reply.status, reply.text());
        }
        sse_text(&reply.text())
    }
}

fn chat_body(model: &str, messages: &Value, stream: bool) -> Value {
    json!({ "model": model, "messages": messages, "temperature": 0, "max_tokens": 96, "stream": stream })
}

/// The text of a chat stream.
fn sse_text(stream: &str) -> Result<String> {
    let mut text = String::new();
    let mut done = false;
    for data in stream.lines().filter_map(|line| line.strip_prefix("data: ")) {
        if data == "[DONE]" {
            done = true;
            continue;
        }
        let chunk: Value = serde_json::from_str(data)?;
        if let Some(error) = chunk.get("error") {
            bail!("error in the stream: {error}");
        }
        text.push_str(chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
    }
    if !done {
        bail!("the stream broke off after {text:?}");
    }
    Ok(text)
}
