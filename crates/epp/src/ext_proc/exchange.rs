//! One HTTP request and its response as Envoy's messages tell them: a state machine without I/O.
//!
//! Envoy demands answers in the order headers, body, trailers for each direction, and lets a server in
//! `FULL_DUPLEX_STREAMED` mode hold the header answer back. This machine does so until the request is
//! complete, because the choice of an endpoint needs the whole prompt. A response is echoed as it comes.
//!
//! The machine never calls the director: it returns [`Step::Route`] and is told the outcome, so that every
//! sequence of messages can be tested as values.

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::Metadata;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    HeaderMutation, HttpBody, HttpHeaders, ProcessingRequest, ProcessingResponse,
};
use llmd_api::headers;

use super::head;
use super::replies::{self, Direction, set_header};
use crate::control_headers;
use crate::director::{Rejection, RequestHead, RequestTracker, Routed};

/// What an exchange may do, decided at start.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Whether the gateway's candidate subset is obeyed.
    pub obey_subset: bool,
    /// Largest request body in bytes; a larger one is answered 413 and not kept.
    pub max_request_body_bytes: usize,
}

/// What the owner must do next.
#[derive(Debug)]
pub(super) enum Step {
    /// Send these answers in order; often there is none yet.
    Send(Vec<ProcessingResponse>),
    /// Route the complete request and report to [`Exchange::on_routed`].
    Route { head: RequestHead, body: Bytes },
    /// Route a request without a body and report to [`Exchange::on_routed`].
    RouteHeadersOnly(RequestHead),
}

/// The state of one ext_proc stream.
#[derive(Debug)]
pub(super) struct Exchange {
    options: Options,
    request: RequestPhase,
    /// Follows the response of a routed request.
    tracker: Option<RequestTracker>,
    response_ended: bool,
}

#[derive(Debug)]
enum RequestPhase {
    /// No message yet.
    Start,
    /// Headers are here, the body is coming.
    Body { head: RequestHead, changes: HeaderChanges, body: Vec<u8> },
    /// The director decides.
    Routing { changes: HeaderChanges, ending: Ending },
    /// Answered, one way or the other; whatever else arrives is ignored.
    Answered,
}

/// How the request ended, which decides the answers Envoy waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Headers,
    Body,
    Trailers,
}

/// What must change about the client's headers, whatever the endpoint.
#[derive(Debug, Default, PartialEq, Eq)]
struct HeaderChanges {
    /// Names that a client must not send.
    dropped: Vec<String>,
    /// Set when the client sent no request id.
    made_request_id: Option<String>,
}

impl Exchange {
    pub(super) const fn new(options: Options) -> Self {
        Self { options, request: RequestPhase::Start, tracker: None, response_ended: false }
    }

    /// Takes Envoy's next message.
    pub(super) fn on_message(&mut self, message: ProcessingRequest) -> Step {
        let ProcessingRequest { request, metadata_context, .. } = message;
        match request {
            Some(Request::RequestHeaders(headers)) => {
                self.on_request_headers(headers, metadata_context.as_ref())
            }
            Some(Request::RequestBody(chunk)) => self.on_request_body(chunk, metadata_context.as_ref()),
            Some(Request::RequestTrailers(_)) => self.end_request(Ending::Trailers),
            Some(Request::ResponseHeaders(headers)) => Step::Send(self.on_response_headers(&headers)),
            Some(Request::ResponseBody(chunk)) => Step::Send(self.on_response_body(chunk)),
            Some(Request::ResponseTrailers(_)) => Step::Send(self.on_response_trailers()),
            // Flow-control messages of newer gateways need no answer.
            None => Step::Send(Vec::new()),
        }
    }

    /// Takes the outcome of the last [`Step::Route`] or [`Step::RouteHeadersOnly`].
    pub(super) fn on_routed(
        &mut self,
        outcome: Result<(Routed, RequestTracker), Rejection>,
    ) -> Vec<ProcessingResponse> {
        match outcome {
            Ok((routed, tracker)) => {
                self.tracker = Some(tracker);
                self.accept(routed)
            }
            Err(rejection) => self.reject(&rejection),
        }
    }

    fn on_request_headers(&mut self, headers: HttpHeaders, metadata: Option<&Metadata>) -> Step {
        if !matches!(self.request, RequestPhase::Start) {
            return Step::Send(Vec::new());
        }
        let end_of_stream = headers.end_of_stream;
        let mut head = RequestHead {
            headers: head::header_map(headers),
            subset: self.subset(metadata),
            ..RequestHead::default()
        };
        head.path = head::path(&head.headers);
        let changes = HeaderChanges::of(&mut head);
        if end_of_stream {
            self.request = RequestPhase::Routing { changes, ending: Ending::Headers };
            return Step::RouteHeadersOnly(head);
        }
        let declared = head.headers.get("content-length").and_then(|it| it.parse::<usize>().ok());
        if declared.is_some_and(|it| it > self.options.max_request_body_bytes) {
            return Step::Send(self.reject_too_large());
        }
        self.request = RequestPhase::Body { head, changes, body: Vec::new() };
        Step::Send(Vec::new())
    }

    fn on_request_body(&mut self, chunk: HttpBody, metadata: Option<&Metadata>) -> Step {
        let subset = self.subset(metadata);
        let RequestPhase::Body { head, body, .. } = &mut self.request else {
            return Step::Send(Vec::new());
        };
        if subset.is_some() {
            head.subset = subset;
        }
        if body.len() + chunk.body.len() > self.options.max_request_body_bytes {
            return Step::Send(self.reject_too_large());
        }
        if body.is_empty() {
            // The usual request is one chunk: take it over without a copy.
            *body = chunk.body;
        } else {
            body.extend_from_slice(&chunk.body);
        }
        if chunk.end_of_stream { self.end_request(Ending::Body) } else { Step::Send(Vec::new()) }
    }

    fn end_request(&mut self, ending: Ending) -> Step {
        match std::mem::replace(&mut self.request, RequestPhase::Answered) {
            RequestPhase::Body { head, changes, body } => {
                self.request = RequestPhase::Routing { changes, ending };
                Step::Route { head, body: body.into() }
            }
            // A second end of the request, or one before its headers.
            other => {
                self.request = other;
                Step::Send(Vec::new())
            }
        }
    }

    fn accept(&mut self, routed: Routed) -> Vec<ProcessingResponse> {
        let RequestPhase::Routing { changes, ending } =
            std::mem::replace(&mut self.request, RequestPhase::Answered)
        else {
            return Vec::new();
        };
        let Routed { destinations, set_headers, body } = routed;
        let destination = destinations.join(",");
        let mutation =
            changes.mutation(&destination, (ending != Ending::Headers).then_some(body.len()), &set_headers);
        let mut answers = vec![replies::request_headers(&destination, mutation)];
        match ending {
            Ending::Headers => {}
            Ending::Body => answers.extend(replies::body_pieces(Direction::Request, body.into(), true)),
            Ending::Trailers => {
                answers.extend(replies::body_pieces(Direction::Request, body.into(), false));
                answers.push(replies::trailers(Direction::Request));
            }
        }
        answers
    }

    fn reject(&mut self, rejection: &Rejection) -> Vec<ProcessingResponse> {
        self.request = RequestPhase::Answered;
        vec![replies::rejection(rejection)]
    }

    fn reject_too_large(&mut self) -> Vec<ProcessingResponse> {
        let limit = self.options.max_request_body_bytes;
        self.reject(&Rejection {
            status: 413,
            message: format!("RequestEntityTooLarge - request body is larger than {limit} bytes"),
            reason: None,
        })
    }

    fn subset(&self, metadata: Option<&Metadata>) -> Option<Vec<String>> {
        metadata.filter(|_| self.options.obey_subset).and_then(head::subset)
    }

    fn on_response_headers(&mut self, headers: &HttpHeaders) -> Vec<ProcessingResponse> {
        let mut mutation = HeaderMutation {
            set_headers: vec![set_header(headers::WENT_INTO_RESP_HEADERS, "true")],
            ..Default::default()
        };
        if let Some(tracker) = &mut self.tracker {
            let (status, is_event_stream) = head::response(headers);
            tracker.response_headers(status, is_event_stream);
            if tracker.rewrites_response() {
                mutation.remove_headers.push("content-length".to_owned());
            }
        }
        if headers.end_of_stream {
            // There is no body that could carry what the tracker may still hold.
            let _nothing = self.track_chunk(Bytes::new(), true);
        }
        vec![replies::response_headers(mutation)]
    }

    fn on_response_body(&mut self, chunk: HttpBody) -> Vec<ProcessingResponse> {
        if self.response_ended {
            return Vec::new();
        }
        let body = self.track_chunk(chunk.body.into(), chunk.end_of_stream);
        replies::body_pieces(Direction::Response, body.into(), chunk.end_of_stream)
    }

    fn on_response_trailers(&mut self) -> Vec<ProcessingResponse> {
        if self.response_ended {
            return Vec::new();
        }
        let rest = self.track_chunk(Bytes::new(), true);
        let mut answers = replies::body_pieces(Direction::Response, rest.into(), false);
        answers.push(replies::trailers(Direction::Response));
        answers
    }

    fn track_chunk(&mut self, chunk: Bytes, end: bool) -> Bytes {
        self.response_ended = end;
        let chunk = match &mut self.tracker {
            Some(tracker) => tracker.response_chunk(chunk, end),
            None => chunk,
        };
        if end {
            self.tracker = None;
        }
        chunk
    }
}

impl HeaderChanges {
    /// Finds what to drop and fills the request id of `head`.
    fn of(head: &mut RequestHead) -> Self {
        let mut dropped: Vec<String> =
            head.headers.keys().filter(|it| control_headers::is_dropped(it)).cloned().collect();
        dropped.sort_unstable();
        let sent = head.headers.get(headers::REQUEST_ID).filter(|it| !it.is_empty()).cloned();
        let made_request_id = sent.is_none().then(|| uuid::Uuid::new_v4().to_string());
        head.request_id = sent.or_else(|| made_request_id.clone()).unwrap_or_default();
        Self { dropped, made_request_id }
    }

    /// The header answer. `content_length` is that of the body to send, if there is a body.
    fn mutation(
        self,
        destination: &str,
        content_length: Option<usize>,
        routed: &[(String, String)],
    ) -> HeaderMutation {
        let mut set_headers = vec![set_header(headers::DESTINATION_ENDPOINT, destination)];
        if let Some(n_bytes) = content_length.filter(|it| *it > 0) {
            set_headers.push(set_header("content-length", &n_bytes.to_string()));
        }
        if let Some(request_id) = &self.made_request_id {
            set_headers.push(set_header(headers::REQUEST_ID, request_id));
        }
        set_headers.extend(routed.iter().map(|(name, value)| set_header(name, value)));
        let is_set = |name: &String| {
            set_headers.iter().any(|it| it.header.as_ref().is_some_and(|header| header.key == *name))
        };
        let remove_headers = self.dropped.into_iter().filter(|it| !is_set(it)).collect();
        HeaderMutation { set_headers, remove_headers }
    }
}

#[cfg(test)]
mod tests;
