//! Request bodies read up to a limit, response bodies passed on as they arrive.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HeaderMap};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::headers;
use super::problem::Problem;
use crate::director::RequestTracker;

/// Longest pause between two pieces of a request body.
const BODY_PAUSE: Duration = Duration::from_secs(30);

/// Reads a whole request body of at most `limit` bytes. A body that announces more is refused unread.
pub(super) async fn collect(mut body: Incoming, headers: &HeaderMap, limit: usize) -> Result<Bytes, Problem> {
    let declared = headers::text(headers, CONTENT_LENGTH.as_str()).and_then(|it| it.parse::<usize>().ok());
    if declared.is_some_and(|it| it > limit) {
        return Err(Problem::BodyTooLarge { limit });
    }
    let mut whole = Bytes::new();
    let mut joined = BytesMut::new();
    loop {
        let frame = tokio::time::timeout(BODY_PAUSE, body.frame()).await.map_err(|_| Problem::BodyTimeout)?;
        let Some(frame) = frame else {
            return Ok(if joined.is_empty() { whole } else { joined.freeze() });
        };
        // Trailers of a request have no meaning for an endpoint.
        let Ok(piece) = frame.map_err(|error| Problem::BodyBroken(error.to_string()))?.into_data() else {
            continue;
        };
        if whole.len().max(joined.len()) + piece.len() > limit {
            return Err(Problem::BodyTooLarge { limit });
        }
        if whole.is_empty() && joined.is_empty() {
            // The usual request arrives in one piece: no copy.
            whole = piece;
        } else {
            if joined.is_empty() {
                joined.reserve(declared.unwrap_or(whole.len() + piece.len()));
                joined.extend_from_slice(&std::mem::take(&mut whole));
            }
            joined.extend_from_slice(&piece);
        }
    }
}

/// An endpoint's response body that shows every piece to the request's tracker. Dropping it closes the
/// connection to the endpoint, which aborts the generation.
#[derive(Debug)]
pub struct TrackedBody {
    endpoint: Incoming,
    /// `None` after the last piece.
    tracker: Option<RequestTracker>,
    keeps_length: bool,
}

impl TrackedBody {
    pub(super) fn new(endpoint: Incoming, mut tracker: RequestTracker) -> Self {
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
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = match ready!(Pin::new(&mut self.endpoint).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                tracing::warn!(%error, "endpoint broke off its answer");
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
