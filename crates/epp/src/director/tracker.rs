//! One routed request until its last response byte.

use std::time::Instant;

use bytes::Bytes;

use crate::datastore::InFlight;
use crate::director::usage::UsageScanner;
use crate::metrics::RequestMetrics;
use crate::request::InferenceRequest;
use crate::request::rewrite::ModelRestorer;

/// Error code of a request whose response did not end.
const ABORTED: &str = "Aborted";
/// Error code of a response with an error status.
const MODEL_SERVER_ERROR: &str = "ModelServerError";

/// Follows the response of one request. Dropping it before the last chunk counts as an abort.
#[derive(Debug)]
pub struct RequestTracker {
    counted: Option<Counted>,
    restorer: Option<ModelRestorer>,
    /// The destination first, then endpoints of earlier stages.
    in_flight: Vec<InFlight>,
}

/// What is measured of an inference request.
#[derive(Debug)]
struct Counted {
    metrics: RequestMetrics,
    received: Instant,
    is_event_stream: bool,
    status: u16,
    n_bytes: u64,
    saw_chunk: bool,
    usage: UsageScanner,
}

impl RequestTracker {
    /// Starts to follow an inference request that came at `received`.
    pub(super) fn new(
        metrics: RequestMetrics,
        received: Instant,
        request: &InferenceRequest<'_>,
        in_flight: Vec<InFlight>,
    ) -> Self {
        metrics.start_running();
        let restorer = (request.model != request.target_model)
            .then(|| ModelRestorer::new(&request.target_model, &request.model));
        let counted = Counted {
            metrics,
            received,
            is_event_stream: false,
            status: 200,
            n_bytes: 0,
            saw_chunk: false,
            usage: UsageScanner::default(),
        };
        Self { counted: Some(counted), restorer, in_flight }
    }

    /// Follows a request that is no inference: it counts as in flight and nothing else.
    pub(super) fn uncounted(in_flight: InFlight) -> Self {
        Self { counted: None, restorer: None, in_flight: vec![in_flight] }
    }

    /// The destination never saw the request, which is routed again: nothing has failed yet.
    pub fn not_sent(mut self) {
        if let Some(counted) = self.counted.take() {
            counted.metrics.stop_running();
        }
    }

    /// Whether [`Self::response_chunk`] may return other bytes than it was given, so that the response's
    /// `content-length` must not be passed on.
    #[must_use]
    pub const fn rewrites_response(&self) -> bool {
        self.restorer.is_some()
    }

    /// The response's status and whether its body is a stream of server-sent events.
    pub const fn response_headers(&mut self, status: u16, is_event_stream: bool) {
        if let Some(counted) = &mut self.counted {
            counted.status = status;
            counted.is_event_stream = is_event_stream;
        }
    }

    /// The next piece of the response body, `end` with the last. Returns what to send to the client: the same
    /// bytes, or with the client's model name back in them.
    #[must_use]
    pub fn response_chunk(&mut self, chunk: Bytes, end: bool) -> Bytes {
        // Earlier stages are over when the destination begins to answer.
        self.in_flight.truncate(1);
        if let Some(counted) = &mut self.counted {
            counted.chunk(&chunk);
        }
        if end {
            if let Some(counted) = self.counted.take() {
                counted.end();
            }
            self.in_flight.clear();
        }
        match &mut self.restorer {
            Some(restorer) => restorer.restore(chunk, end),
            None => chunk,
        }
    }
}

impl Counted {
    fn chunk(&mut self, chunk: &[u8]) {
        if !self.saw_chunk {
            self.saw_chunk = true;
            self.metrics.observe_first_chunk(self.received.elapsed(), self.is_event_stream);
        }
        self.n_bytes += chunk.len() as u64;
        self.usage.feed(chunk);
    }

    fn end(&self) {
        self.metrics.stop_running();
        if self.status >= 400 {
            self.metrics.count_error(MODEL_SERVER_ERROR);
        }
        self.metrics.observe_end(self.received.elapsed(), self.n_bytes, self.usage.usage());
    }
}

impl Drop for RequestTracker {
    fn drop(&mut self) {
        if let Some(counted) = &self.counted {
            counted.metrics.stop_running();
            counted.metrics.count_error(ABORTED);
        }
    }
}
