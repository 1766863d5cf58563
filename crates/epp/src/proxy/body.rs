//! Response bodies on their way to the client, seen by the request's tracker.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use llmd_common::proxy::body::{ResponseStream, StreamError};
use llmd_common::report::Report;

use crate::director::RequestTracker;

/// An endpoint's response body that shows every piece to the request's tracker. Dropping it closes the
/// connection to the endpoint, which aborts the generation.
#[derive(Debug)]
pub struct TrackedBody {
    endpoint: ResponseStream,
    /// `None` after the last piece.
    tracker: Option<RequestTracker>,
    keeps_length: bool,
}

impl TrackedBody {
    pub(super) fn new(endpoint: ResponseStream, mut tracker: RequestTracker) -> Self {
        let keeps_length = !tracker.rewrites_response();
        if endpoint.is_end_stream() {
            // hyper never polls an empty body, so its end is told here.
            let _nothing = tracker.response_chunk(Bytes::new(), true);
            return Self { endpoint, tracker: None, keeps_length };
        }
        Self { endpoint, tracker: Some(tracker), keeps_length }
    }

    fn track(&mut self, piece: Bytes, end: bool) -> Bytes {
        let tracked = match &mut self.tracker {
            Some(tracker) => tracker.response_chunk(piece, end),
            None => piece,
        };
        if end {
            self.tracker = None;
        }
        tracked
    }
}

impl Body for TrackedBody {
    type Data = Bytes;
    type Error = StreamError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        let frame = match ready!(Pin::new(&mut self.endpoint).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                tracing::warn!(error = %Report(&error), "an endpoint's answer did not end");
                return Poll::Ready(Some(Err(error)));
            }
            None => {
                let rest = self.track(Bytes::new(), true);
                return Poll::Ready((!rest.is_empty()).then(|| Ok(Frame::data(rest))));
            }
        };
        let is_end = self.endpoint.is_end_stream();
        let frame = frame.map_data(|piece| self.track(piece, is_end));
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.tracker.is_none() && self.endpoint.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.keeps_length { self.endpoint.size_hint() } else { SizeHint::default() }
    }
}
