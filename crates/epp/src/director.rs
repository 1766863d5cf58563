//! One request through the endpoint picker: parse, pick endpoints, tell the backend what to know.
//!
//! Both edges (Envoy's ext_proc stream and the native proxy) call the same director, so a request is treated
//! the same whichever gateway carries it.

use std::collections::HashMap;

use arc_swap::ArcSwap;
use bytes::Bytes;
use rand::seq::IndexedRandom;

use crate::decisions::DecisionLog;

mod tracker;

pub use tracker::RequestTracker;

/// What is known of a request before its body.
#[derive(Debug, Clone, Default)]
pub struct RequestHead {
    /// From `x-request-id`, or made by the edge.
    pub request_id: String,
    /// Path without query.
    pub path: String,
    /// Lower-case names; of repeated headers the last value.
    pub headers: HashMap<String, String>,
    /// Candidate subset (`ip:port`) from the gateway's metadata; `Some(vec![])` means no candidate.
    pub subset: Option<Vec<String>>,
    /// Endpoints (`ip:port`) that failed for this request already and must not be picked again.
    pub excluded: Vec<String>,
}

/// A routed request.
#[derive(Debug)]
pub struct Routed {
    /// `ip:port`, best first.
    pub destinations: Vec<String>,
    /// Headers to set on the request to the backend, such as the prefill endpoint.
    pub set_headers: Vec<(String, String)>,
    /// The body to send: the client's bytes, or a copy whose `model` was rewritten.
    pub body: Bytes,
}

/// A refused request, as HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// HTTP status.
    pub status: u16,
    /// `<Code> - <message>` text of the peers, without their `inference error: ` prefix.
    pub message: String,
    /// Value of `x-llm-d-request-dropped-reason`.
    pub reason: Option<&'static str>,
}

/// Picks endpoints. Shared by every task of both edges; no method blocks or awaits.
#[derive(Debug, Default)]
pub struct Director {
    endpoints: ArcSwap<Vec<String>>,
    decisions: DecisionLog,
}

impl Director {
    /// Routes a request that has no body: any endpoint of the pool can answer it.
    ///
    /// # Errors
    /// A [`Rejection`] with status 500 when the pool is empty.
    pub fn route_headers_only(&self, _head: &RequestHead) -> Result<(Routed, RequestTracker), Rejection> {
        self.any_endpoint(Bytes::new())
    }

    /// Routes a request whose body is complete.
    ///
    /// # Errors
    /// A [`Rejection`] that says, as HTTP, why no endpoint may serve the request.
    pub fn route(&self, _head: RequestHead, body: Bytes) -> Result<(Routed, RequestTracker), Rejection> {
        self.any_endpoint(body)
    }

    /// The last decisions, for `/debug/decisions`.
    #[must_use]
    pub const fn decisions(&self) -> &DecisionLog {
        &self.decisions
    }

    fn any_endpoint(&self, body: Bytes) -> Result<(Routed, RequestTracker), Rejection> {
        let endpoints = self.endpoints.load();
        let Some(destination) = endpoints.choose(&mut rand::rng()) else {
            return Err(Rejection {
                status: 500,
                message: "Internal - no pods available in datastore".to_owned(),
                reason: None,
            });
        };
        let routed = Routed { destinations: vec![destination.clone()], set_headers: Vec::new(), body };
        Ok((routed, RequestTracker::new()))
    }
}
