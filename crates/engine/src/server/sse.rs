//! Frames of `text/event-stream`: one `data:` line and a blank line an event.

use axum::body::Bytes;
use serde::Serialize;

/// Media type of a stream.
pub const CONTENT_TYPE: &str = "text/event-stream; charset=utf-8";
/// The frame after the last event.
pub const DONE: Bytes = Bytes::from_static(b"data: [DONE]\n\n");

/// An event whose data is `value` as JSON on one line.
#[must_use]
pub fn event(value: &impl Serialize) -> Bytes {
    let mut frame = b"data: ".to_vec();
    serde_json::to_writer(&mut frame, value).expect("response types have string keys and finite numbers");
    frame.extend_from_slice(b"\n\n");
    frame.into()
}
