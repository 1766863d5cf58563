//! Envoy's external processor: one gRPC stream is one HTTP request, and its answers say where it goes.
//!
//! Protocol: `envoy.service.ext_proc.v3.ExternalProcessor`, request and response bodies in
//! `FULL_DUPLEX_STREAMED` mode. This file is the asynchronous rim; what is answered to which message is in
//! [`exchange`]. A stream has no task and no queue of its own: it reads Envoy's next message only when its
//! last answers were taken, and when Envoy drops it the request's tracker goes with it.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_server::ExternalProcessor;
use envoy_types::pb::envoy::service::ext_proc::v3::{ProcessingRequest, ProcessingResponse};
use futures_util::{Stream, stream};
use tonic::{Code, Request, Response, Status, Streaming};

use crate::director::Director;

mod exchange;
mod head;
mod replies;
mod stream_metrics;

pub use exchange::Options;
use exchange::{Exchange, Step};
use stream_metrics::StreamGuard;
pub use stream_metrics::StreamMetrics;

/// The service. Clones share the director.
#[derive(Debug, Clone)]
pub struct ExtProc {
    director: Arc<Director>,
    options: Options,
    metrics: Option<StreamMetrics>,
}

impl ExtProc {
    /// A service that routes with `director`; `metrics` counts its streams.
    #[must_use]
    pub const fn new(director: Arc<Director>, options: Options, metrics: Option<StreamMetrics>) -> Self {
        Self { director, options, metrics }
    }
}

#[tonic::async_trait]
impl ExternalProcessor for ExtProc {
    type ProcessStream = Pin<Box<dyn Stream<Item = Result<ProcessingResponse, Status>> + Send>>;

    async fn process(
        &self,
        request: Request<Streaming<ProcessingRequest>>,
    ) -> Result<Response<Self::ProcessStream>, Status> {
        let conversation = Conversation {
            inbound: Some(request.into_inner()),
            exchange: Exchange::new(self.options),
            director: Arc::clone(&self.director),
            answers: VecDeque::new(),
            guard: self.metrics.as_ref().map(StreamMetrics::start),
        };
        Ok(Response::new(Box::pin(stream::unfold(conversation, Conversation::next))))
    }
}

/// One stream: Envoy's messages in, answers out.
struct Conversation {
    /// `None` after an error was reported.
    inbound: Option<Streaming<ProcessingRequest>>,
    exchange: Exchange,
    director: Arc<Director>,
    /// Answers to the last message that Envoy has not taken yet; bounded by the request body limit.
    answers: VecDeque<ProcessingResponse>,
    guard: Option<StreamGuard>,
}

impl Conversation {
    async fn next(mut self) -> Option<(Result<ProcessingResponse, Status>, Self)> {
        loop {
            if let Some(answer) = self.answers.pop_front() {
                return Some((Ok(answer), self));
            }
            match self.inbound.as_mut()?.message().await {
                Ok(Some(message)) => {
                    let answers = self.answer(message);
                    self.answers.extend(answers);
                }
                Ok(None) => return self.end(Code::Ok, None),
                Err(status) if status.code() == Code::Cancelled => return self.end(Code::Cancelled, None),
                Err(status) => {
                    tracing::warn!(%status, "ext_proc stream failed");
                    return self.end(status.code(), Some(status));
                }
            }
        }
    }

    fn answer(&mut self, message: ProcessingRequest) -> Vec<ProcessingResponse> {
        let outcome = match self.exchange.on_message(message) {
            Step::Send(answers) => return answers,
            Step::Route { head, body } => self.director.route(head, body),
            Step::RouteHeadersOnly(head) => self.director.route_headers_only(&head),
        };
        self.exchange.on_routed(outcome)
    }

    /// Ends the stream, with an error as its last item where there is one.
    fn end(
        mut self,
        code: Code,
        error: Option<Status>,
    ) -> Option<(Result<ProcessingResponse, Status>, Self)> {
        if let Some(guard) = &mut self.guard {
            guard.set_code(code);
        }
        self.inbound = None;
        error.map(|status| (Err(status), self))
    }
}

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversation").field("exchange", &self.exchange).finish_non_exhaustive()
    }
}
