//! One routed request until its last response byte.

use bytes::Bytes;

/// Follows the response of one request. Dropping it before the last chunk counts as an abort.
#[derive(Debug)]
pub struct RequestTracker {
    ended: bool,
}

impl RequestTracker {
    pub(crate) const fn new() -> Self {
        Self { ended: false }
    }

    /// Whether [`Self::response_chunk`] may return other bytes than it was given, so that the response's
    /// `content-length` must not be passed on.
    #[must_use]
    pub const fn rewrites_response(&self) -> bool {
        false
    }

    /// The response's status and whether its body is a stream of server-sent events.
    pub fn response_headers(&mut self, _status: u16, _is_event_stream: bool) {}

    /// The next piece of the response body, `end` with the last. Returns what to send to the client.
    #[must_use]
    pub fn response_chunk(&mut self, chunk: Bytes, end: bool) -> Bytes {
        self.ended |= end;
        chunk
    }
}
