//! Client of an OpenAI-compatible endpoint: which model, one streamed answer.
//!
//! Reads leniently: fields it does not need may be missing or of any shape, so that any server of the protocol
//! will do.

mod sse;
pub mod timing;

use std::collections::VecDeque;
use std::time::Duration;

use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::{self, Client, authorized, read_body};

/// Until the response head: a queue at the server may be long.
const HEAD_TIMEOUT: Duration = Duration::from_secs(120);
/// Between two chunks of an answer.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(120);

/// Why there is no answer, or no more of it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection, or it broke.
    #[error(transparent)]
    Client(#[from] client::Error),
    /// The endpoint refused.
    #[error("the endpoint answered {status}: {message}")]
    Status {
        /// HTTP status.
        status: StatusCode,
        /// From the error body.
        message: String,
    },
    /// The endpoint lists no model.
    #[error("{0} lists no model: name one with --model")]
    NoModel(String),
    /// The answer stopped coming.
    #[error("no chunk for {} s", CHUNK_TIMEOUT.as_secs())]
    Stalled,
    /// A chunk is not JSON, or a line has no end.
    #[error("the stream is malformed: {0}")]
    Malformed(String),
    /// The connection ended before `[DONE]`.
    #[error("the stream broke off")]
    BrokeOff,
    /// The server reported an error inside the stream.
    #[error("the endpoint failed: {0}")]
    InStream(String),
}

/// An endpoint and how to be let in.
#[derive(Debug, Clone)]
pub struct Endpoint {
    client: Client,
    /// Ends in `/v1`.
    base: String,
    api_key: Option<String>,
}

/// A chat request, as far as this client makes use of the protocol.
#[derive(Debug, Clone, Serialize)]
pub struct ChatRequest {
    /// Served model name.
    pub model: String,
    /// The conversation.
    pub messages: Vec<Message>,
    /// Absent: the server's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Absent: the server's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: &'static str,
    /// Its text.
    pub content: String,
}

/// News of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delta {
    /// Text to append; may be empty.
    pub text: String,
    /// Token counts, in one of the last chunks.
    pub usage: Option<TokenCounts>,
}

/// Token counts of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct TokenCounts {
    /// Of the prompt.
    pub prompt_tokens: u32,
    /// Of the answer.
    pub completion_tokens: u32,
    /// Parts of the prompt's count.
    pub prompt_tokens_details: Option<PromptDetails>,
}

/// Where the prompt came from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PromptDetails {
    /// Prompt tokens that were not computed.
    pub cached_tokens: Option<u32>,
}

impl Endpoint {
    /// An endpoint by its base URL, with or without `/v1`.
    ///
    /// # Errors
    /// [`client::Error::Url`] and [`client::Error::Roots`].
    pub fn new(url: &str, api_key: Option<String>) -> Result<Self, Error> {
        let url = url.trim_end_matches('/');
        let base = if url.ends_with("/v1") { url.to_owned() } else { format!("{url}/v1") };
        Ok(Self { client: Client::for_base(&base, HEAD_TIMEOUT)?, base, api_key })
    }

    /// `given`, or the first model that the endpoint lists.
    ///
    /// # Errors
    /// [`Error::NoModel`], [`Error::Status`], [`Error::Client`].
    pub async fn model(&self, given: Option<String>) -> Result<String, Error> {
        if let Some(model) = given {
            return Ok(model);
        }
        let url = format!("{}/models", self.base);
        let (status, body) = self.client.get(&url, self.api_key.as_deref()).await?;
        if !status.is_success() {
            return Err(refusal(status, &body));
        }
        let list: Value = serde_json::from_str(&body).unwrap_or_default();
        let first = list["data"][0]["id"].as_str().map(str::to_owned);
        first.ok_or_else(|| Error::NoModel(self.base.clone()))
    }

    /// Asks; returns when the answer begins. Dropping the answer ends it at the server.
    ///
    /// # Errors
    /// [`Error::Status`] and [`Error::Client`].
    pub async fn chat(&self, request: &ChatRequest) -> Result<Answer, Error> {
        let mut body = serde_json::to_value(request).expect("strings and numbers are always JSON");
        body["stream"] = true.into();
        body["stream_options"] = serde_json::json!({ "include_usage": true });
        let builder = Request::post(format!("{}/chat/completions", self.base))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "text/event-stream");
        let request = authorized(builder, self.api_key.as_deref())
            .body(Full::new(Bytes::from(body.to_string())))
            .map_err(client::Error::from)?;
        let (head, body) = self.client.send(request).await?.into_parts();
        if !head.status.is_success() {
            return Err(refusal(head.status, &read_body(body).await?));
        }
        Ok(Answer { body, decoder: sse::Decoder::default(), ready: VecDeque::new() })
    }
}

/// An answer on its way.
#[derive(Debug)]
pub struct Answer {
    body: Incoming,
    decoder: sse::Decoder,
    /// Events of the last frame; a frame bounds it.
    ready: VecDeque<String>,
}

impl Answer {
    /// The next news; `None` after the last.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn next(&mut self) -> Result<Option<Delta>, Error> {
        loop {
            if let Some(data) = self.ready.pop_front() {
                return if data == "[DONE]" { Ok(None) } else { parse_chunk(&data).map(Some) };
            }
            let frame = tokio::time::timeout(CHUNK_TIMEOUT, self.body.frame());
            let frame = match frame.await.map_err(|_| Error::Stalled)? {
                None => return Err(Error::BrokeOff),
                Some(frame) => frame.map_err(|error| client::Error::Body(error.into()))?,
            };
            if let Ok(bytes) = frame.into_data() {
                self.ready.extend(self.decoder.push(&bytes).map_err(Error::Malformed)?);
            }
        }
    }
}

fn parse_chunk(data: &str) -> Result<Delta, Error> {
    let chunk: Value = serde_json::from_str(data).map_err(|error| Error::Malformed(error.to_string()))?;
    if let Some(error) = chunk.get("error").filter(|it| !it.is_null()) {
        return Err(Error::InStream(message_of(&chunk).unwrap_or_else(|| error.to_string())));
    }
    let delta = &chunk["choices"][0]["delta"];
    let part = |name: &str| delta[name].as_str().unwrap_or_default();
    // Reasoning models stream their thoughts under one of two names.
    let text = [part("reasoning_content"), part("reasoning"), part("content")].concat();
    Ok(Delta { text, usage: serde_json::from_value(chunk["usage"].clone()).ok() })
}

fn refusal(status: StatusCode, body: &str) -> Error {
    let message = serde_json::from_str(body).ok().as_ref().and_then(message_of);
    Error::Status { status, message: message.unwrap_or_else(|| body.trim().chars().take(300).collect()) }
}

/// `error.message`, as OpenAI and vLLM write it, or `message`, as older servers do.
fn message_of(body: &Value) -> Option<String> {
    let message = body["error"]["message"].as_str().or_else(|| body["message"].as_str());
    message.map(str::to_owned)
}

#[cfg(test)]
mod tests;
