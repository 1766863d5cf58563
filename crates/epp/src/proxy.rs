//! The native HTTP proxy: a gateway without Envoy, in front of the same director.
//!
//! A request body is read whole, up to a limit, because the choice of an endpoint needs the prompt; responses
//! stream. When an endpoint refuses the connection the request is routed again without it. Once a request was
//! sent it is never sent again, so that a request that crashes an engine does not visit every engine.
//! Everything behind a request lives in its handler and in its response body: when the client goes, hyper
//! drops them, and with them the upstream connection and the request's tracker.

use std::convert::Infallible;
use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response, Uri};
use http_body::Body;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::service::Service;
use llmd_api::headers::REQUEST_ID;
use llmd_common::proxy::body::{self as request_body, ResponseStream};
use llmd_common::proxy::headers::prepare_response;
use llmd_common::ready::Readiness;
use llmd_common::serve::Peer;

use crate::director::{Director, Rejection, RequestHead, RequestTracker, Routed};

mod body;
mod headers;
mod problem;
mod upstream;

pub use body::TrackedBody;
use problem::Problem;
use upstream::{Failure, Upstream};

/// Times one request is routed: the first choice and what replaces endpoints that refuse connections.
const MAX_ROUTES: usize = 3;
/// The proxy's own path: whether requests can be served.
const HEALTH_PATH: &str = "/health";

/// What the proxy accepts.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest request body in bytes; a larger one is answered 413.
    pub max_request_body_bytes: usize,
    /// Until an endpoint's response begins, and until each next piece of it.
    pub response_timeout: Option<Duration>,
}

/// The proxy as a service of one connection. Clones share everything.
#[derive(Debug, Clone)]
pub struct Proxy {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    director: Arc<Director>,
    readiness: Readiness,
    limits: Limits,
    upstream: Upstream,
}

/// A whole answer of our own, or an endpoint's as it arrives.
pub type ProxyBody = Either<Full<Bytes>, TrackedBody>;

impl Proxy {
    /// A proxy that routes with `director` and reports `readiness` at `/health`.
    #[must_use]
    pub fn new(director: Arc<Director>, readiness: Readiness, limits: Limits) -> Self {
        let upstream = Upstream::new(limits.response_timeout);
        Self { shared: Arc::new(Shared { director, readiness, limits, upstream }) }
    }
}

impl Service<Request<Incoming>> for Proxy {
    type Response = Response<ProxyBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { Ok(shared.handle(request).await) })
    }
}

impl Shared {
    async fn handle(&self, request: Request<Incoming>) -> Response<ProxyBody> {
        let (parts, body) = request.into_parts();
        if matches!(parts.method, Method::GET | Method::HEAD) && parts.uri.path() == HEALTH_PATH {
            return self.health().map(Either::Left);
        }
        let inbound = Inbound::new(parts);
        let answer = self.proxy(&inbound, body).await.unwrap_or_else(|problem| {
            tracing::debug!(request_id = inbound.request_id, %problem, "request refused");
            problem.response().map(Either::Left)
        });
        inbound.mark(answer)
    }

    fn health(&self) -> Response<Full<Bytes>> {
        let missing = self.readiness.missing();
        if !missing.is_empty() {
            Problem::NotReady(missing.join("; ")).response()
        } else if !self.director.has_reachable_endpoint() {
            Problem::NotReady("no endpoint answers".to_owned()).response()
        } else {
            Response::default()
        }
    }

    async fn proxy(&self, inbound: &Inbound, body: Incoming) -> Result<Response<ProxyBody>, Problem> {
        let body = if body.is_end_stream() {
            None
        } else {
            Some(request_body::read(body, self.limits.max_request_body_bytes).await?)
        };
        let mut head = inbound.head();
        for _ in 0..MAX_ROUTES {
            let (routed, tracker) = self.route(&head, body.clone())?;
            for destination in &routed.destinations {
                match self.upstream.send(inbound.outbound(destination, &routed)?).await {
                    Ok(response) => return Ok(respond(response, tracker)),
                    Err(Failure::Connect(error)) => {
                        tracing::warn!(destination, error, "endpoint refuses connections, trying another");
                        head.excluded.push(destination.clone());
                    }
                    Err(Failure::Silent { limit }) => {
                        tracing::warn!(destination, "endpoint does not answer");
                        return Err(Problem::Silent { limit });
                    }
                    Err(Failure::Exchange(error)) => {
                        tracing::warn!(destination, error, "endpoint broke off before it answered");
                        return Err(Problem::BrokenOff);
                    }
                }
            }
            tracker.not_sent();
        }
        Err(Problem::Unreachable)
    }

    fn route(&self, head: &RequestHead, body: Option<Bytes>) -> Result<(Routed, RequestTracker), Problem> {
        let outcome = match body {
            Some(body) => self.director.route(head.clone(), body),
            None => self.director.route_headers_only(head),
        };
        outcome.map_err(|rejection: Rejection| {
            // With every endpoint tried the director finds no candidate, which is not the client's doing.
            if head.excluded.is_empty() { Problem::Rejected(rejection) } else { Problem::Unreachable }
        })
    }
}

/// A client's request without its body.
struct Inbound {
    parts: Parts,
    request_id: String,
    peer: Option<IpAddr>,
}

impl Inbound {
    fn new(parts: Parts) -> Self {
        let request_id = headers::text(&parts.headers, REQUEST_ID)
            .map_or_else(|| uuid::Uuid::new_v4().to_string(), ToOwned::to_owned);
        let peer = parts.extensions.get::<Peer>().map(|it| it.0.ip());
        Self { parts, request_id, peer }
    }

    fn head(&self) -> RequestHead {
        RequestHead {
            request_id: self.request_id.clone(),
            path: self.parts.uri.path().to_owned(),
            headers: headers::as_map(&self.parts.headers),
            ..RequestHead::default()
        }
    }

    /// The request to `destination`.
    fn outbound(&self, destination: &str, routed: &Routed) -> Result<Request<Full<Bytes>>, Problem> {
        let path = self.parts.uri.path_and_query().ok_or(Problem::NoPath)?;
        let uri = Uri::builder().scheme("http").authority(destination).path_and_query(path.clone()).build();
        let mut request = Request::new(Full::new(routed.body.clone()));
        *request.method_mut() = self.parts.method.clone();
        *request.uri_mut() = uri.map_err(|_| Problem::BadDestination(destination.to_owned()))?;
        *request.headers_mut() = headers::to_endpoint(self, &routed.set_headers);
        Ok(request)
    }

    /// Names the request in its answer, so that a client can quote it.
    fn mark<B>(&self, mut response: Response<B>) -> Response<B> {
        headers::mark_response(response.headers_mut(), &self.request_id);
        response
    }
}

/// The endpoint's answer on its way to the client.
fn respond(response: Response<ResponseStream>, mut tracker: RequestTracker) -> Response<ProxyBody> {
    let (mut parts, body) = response.into_parts();
    prepare_response(&mut parts);
    tracker.response_headers(parts.status.as_u16(), headers::is_event_stream(&parts.headers));
    if tracker.rewrites_response() {
        parts.headers.remove(http::header::CONTENT_LENGTH);
    }
    Response::from_parts(parts, Either::Right(TrackedBody::new(body, tracker)))
}

impl fmt::Debug for Inbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbound").field("request_id", &self.request_id).finish_non_exhaustive()
    }
}
