//! One request as two: prefill elsewhere, then decode here.
//!
//! The legs run one after the other, because decode needs the names of the blocks that prefill kept. Nothing
//! reaches the client before prefill is over, so a failed prefill can be tried again, sent elsewhere or left to
//! the decode engine, as the failure policy says. Both legs live in the client's request: when the client
//! leaves, the leg in flight is dropped and its engine aborts.
//!
//! Not here: the bodies (`connector`), the answer's rewriting (`usage`).

use bytes::Bytes;
use http::uri::Authority;
use http::{Response, StatusCode, header};
use http_body_util::{BodyExt as _, Either, Full, Limited};
use llmd_common::proxy::body::ResponseStream;
use llmd_common::proxy::headers::prepare_response;
use tokio::time::Instant;

use crate::body::ResponseBody;
use crate::config::FailurePolicy;
use crate::connector::nixl_v2::{self, PrefillReply};
use crate::error::Error;
use crate::headers;
use crate::json::Object;
use crate::metrics::{Outcome, PdRequest};
use crate::proxy;
use crate::route::Api;
use crate::service::Shared;
use crate::upstream::{Head, SendError};
use crate::usage::Rewriter;

/// A request to be split.
#[derive(Debug)]
pub struct Split<'a> {
    /// Method, path and headers of both legs.
    pub head: Head,
    /// The client's body.
    pub body: Bytes,
    /// Where the body's token limits stand.
    pub api: Api,
    /// Prefill endpoints, preferred first; at least one.
    pub candidates: Vec<Authority>,
    /// The local engine.
    pub decoder: &'a Authority,
}

/// How the prefill leg ended.
enum Prefilled {
    /// The blocks are kept.
    Done(PrefillReply),
    /// The client gets this answer; another attempt would not change it.
    Refused(Response<ResponseBody>),
    /// Nobody could do it now.
    Unavailable(Unavailable),
}

/// A failure that another attempt or another endpoint may not have.
struct Unavailable {
    /// Metric label.
    reason: &'static str,
    /// What the client gets when nothing else helps.
    response: Response<ResponseBody>,
}

/// Runs both legs.
pub async fn serve(shared: &Shared, mut split: Split<'_>) -> Response<ResponseBody> {
    let mut request = shared.metrics.pd_request();
    let client_body = split.body.clone();
    let client = match Object::parse(&client_body) {
        Ok(client) => client,
        Err(error) => {
            request.failed(Outcome::BadRequest);
            return Error::Body(error).response();
        }
    };
    headers::ensure_request_id(&mut split.head.headers);
    headers::refuse_compression(&mut split.head.headers);

    let started = Instant::now();
    let prefill_body = Bytes::from(nixl_v2::prefill_body(&client, split.api));
    let prefilled = prefill_in_time(shared, &split, &prefill_body).await;
    request.prefilled(started.elapsed());
    match prefilled {
        Prefilled::Done(reply) => {
            if reply.kv_transfer_params.is_none() {
                tracing::warn!(
                    "the prefill answer has no kv_transfer_params: the decode engine computes the prompt"
                );
                shared.metrics.kv_params_missing();
            }
            let body = nixl_v2::decode_body(&client, reply.kv_transfer_params.as_deref()).into();
            decode(shared, split, body, Some(reply.cached_tokens), request).await
        }
        Prefilled::Unavailable(failure) if shared.config.prefill.failure_policy == FailurePolicy::Local => {
            tracing::warn!(reason = failure.reason, "prefill failed: the decode engine computes the prompt");
            shared.metrics.fell_back(failure.reason);
            decode(shared, split, client_body, None, request).await
        }
        Prefilled::Refused(response) | Prefilled::Unavailable(Unavailable { response, .. }) => {
            request.failed(Outcome::PrefillFailed);
            response
        }
    }
}

/// The prefill leg inside its deadline.
async fn prefill_in_time(shared: &Shared, split: &Split<'_>, body: &Bytes) -> Prefilled {
    let leg = prefill(shared, split, body);
    let Some(limit) = shared.config.prefill.timeout else { return leg.await };
    tokio::time::timeout(limit, leg).await.unwrap_or_else(|_| {
        let response = Error::PrefillTimeout { seconds: limit.as_secs() }.response();
        Prefilled::Unavailable(Unavailable { reason: "timeout", response })
    })
}

/// Tries the candidates that the policy allows, each with its retries.
async fn prefill(shared: &Shared, split: &Split<'_>, body: &Bytes) -> Prefilled {
    let config = shared.config.prefill;
    let first = if config.is_sampling { rand::random_range(0..split.candidates.len()) } else { 0 };
    let mut endpoint = &split.candidates[first];
    let mut others = split.candidates[first + 1..].iter().chain(&split.candidates[..first]);
    loop {
        let failure = match prefill_at(shared, split, endpoint, body).await {
            Prefilled::Unavailable(failure) => failure,
            settled => return settled,
        };
        let next = others.next().filter(|_| config.failure_policy == FailurePolicy::NextCandidate);
        let Some(next) = next else { return Prefilled::Unavailable(failure) };
        tracing::warn!(%endpoint, %next, reason = failure.reason, "prefill failed: trying the next candidate");
        shared.metrics.fell_back(failure.reason);
        endpoint = next;
    }
}

/// Tries one endpoint, again after a pause while it is unavailable and retries are left.
async fn prefill_at(shared: &Shared, split: &Split<'_>, endpoint: &Authority, body: &Bytes) -> Prefilled {
    let config = shared.config.prefill;
    for _ in 0..config.max_retries {
        match attempt(shared, split, endpoint, body).await {
            Prefilled::Unavailable(failure) => {
                tracing::debug!(%endpoint, reason = failure.reason, "retrying prefill");
            }
            settled => return settled,
        }
        tokio::time::sleep(config.retry_backoff).await;
        shared.metrics.retried();
    }
    attempt(shared, split, endpoint, body).await
}

/// One prefill call.
async fn attempt(shared: &Shared, split: &Split<'_>, endpoint: &Authority, body: &Bytes) -> Prefilled {
    let body = Either::Left(Full::new(body.clone()));
    let response = match shared.prefiller.send(endpoint, split.head.clone(), body).await {
        Ok(response) => response,
        Err(source) => return unavailable(endpoint, source),
    };
    let (mut parts, body) = response.into_parts();
    let body = match read_reply(body, shared.config.max_body_bytes).await {
        Ok(body) => body,
        Err(source) => return unavailable(endpoint, source),
    };
    if parts.status.is_success() {
        return match PrefillReply::parse(&body) {
            Ok(reply) => Prefilled::Done(reply),
            Err(error) => {
                tracing::warn!(%endpoint, "the prefill answer is no JSON object");
                Prefilled::Refused(Error::PrefillReply(error).response())
            }
        };
    }
    let reason = transient(parts.status);
    prepare_response(&mut parts);
    let response = Response::from_parts(parts, ResponseBody::full(body));
    match reason {
        Some(reason) => Prefilled::Unavailable(Unavailable { reason, response }),
        None => Prefilled::Refused(response),
    }
}

/// The metric label of a status that another attempt may not have.
fn transient(status: StatusCode) -> Option<&'static str> {
    match status {
        StatusCode::BAD_GATEWAY => Some("status_502"),
        StatusCode::SERVICE_UNAVAILABLE => Some("status_503"),
        StatusCode::GATEWAY_TIMEOUT => Some("status_504"),
        _ => None,
    }
}

fn unavailable(endpoint: &Authority, source: SendError) -> Prefilled {
    let reason = match source {
        SendError::Connect(_) => "connect",
        SendError::Transport(_) => "transport",
        SendError::Timeout { .. } => "timeout",
    };
    tracing::warn!(%endpoint, reason, "prefill failed");
    let response = Error::Prefill(source).response();
    Prefilled::Unavailable(Unavailable { reason, response })
}

/// Buffers a prefill answer. One that breaks off or is larger than `limit` is a broken connection.
async fn read_reply(body: ResponseStream, limit: usize) -> Result<Bytes, SendError> {
    let collected = Limited::new(body, limit).collect().await.map_err(SendError::Transport)?;
    Ok(collected.to_bytes())
}

/// The decode leg, streamed. `cached_tokens` is what the prefill engine found in its cache; `None` leaves the
/// decode engine's own count.
async fn decode(
    shared: &Shared,
    split: Split<'_>,
    body: Bytes,
    cached_tokens: Option<u64>,
    mut request: PdRequest,
) -> Response<ResponseBody> {
    request.decode_sent();
    let body = Either::Left(Full::new(body));
    let response = match shared.decoder.send(split.decoder, split.head, body).await {
        Ok(response) => response,
        Err(error) => {
            request.failed(Outcome::DecodeFailed);
            return Error::Decode(error).response();
        }
    };
    let (mut parts, body) = response.into_parts();
    prepare_response(&mut parts);
    let rewriter = cached_tokens
        .and_then(|count| Rewriter::for_content_type(proxy::plain_content_type(&parts.headers)?, count));
    let body = match rewriter {
        Some(rewriter) => {
            parts.headers.remove(header::CONTENT_LENGTH);
            ResponseBody::rewritten(body, rewriter)
        }
        None => ResponseBody::engine(body),
    };
    Response::from_parts(parts, body.of(request))
}
