//! Puts the prefill engine's `cached_tokens` into the decode engine's answer.
//!
//! To the decode engine the whole prompt looks cached, because all of it was transferred; what the client is
//! told must be what the prefill engine found. The field is `usage.prompt_tokens_details.cached_tokens`, in a
//! JSON body or in any `data:` line of an event stream.
//!
//! Guarantees: bytes are held only up to the end of their line (stream) or body (JSON), and never more than a
//! limit, past which they go on unchanged; a chunk of whole lines without `"usage"` passes through uncopied;
//! where the network cut the chunks makes no difference to the text.

use bytes::{Bytes, BytesMut};
use memchr::{memchr, memmem, memrchr};

use crate::json::{Edit, Object, edit_nested};

#[cfg(test)]
mod tests;

/// What a line with a payload starts with.
const DATA: &[u8] = b"data:";
/// What a payload worth parsing contains.
const USAGE: &[u8] = b"\"usage\"";
/// Longest line of an event stream that is looked into.
const MAX_LINE_BYTES: usize = 1 << 20;
/// Longest JSON body that is looked into.
const MAX_JSON_BYTES: usize = 64 << 20;

/// Rewrites one response body, chunk by chunk.
#[derive(Debug)]
pub enum Rewriter {
    /// `text/event-stream`.
    Events(EventRewriter),
    /// `application/json`.
    Json(JsonRewriter),
}

impl Rewriter {
    /// The rewriter for a response's `Content-Type`; `None` for types that carry no usage.
    #[must_use]
    pub fn for_content_type(content_type: &str, cached_tokens: u64) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("text/event-stream") {
            Some(Self::Events(EventRewriter::new(cached_tokens)))
        } else if essence.eq_ignore_ascii_case("application/json") {
            Some(Self::Json(JsonRewriter::new(cached_tokens)))
        } else {
            None
        }
    }

    /// Takes the next chunk and returns what may go on now, possibly nothing.
    pub fn push(&mut self, chunk: Bytes) -> Bytes {
        match self {
            Self::Events(it) => it.push(chunk),
            Self::Json(it) => it.push(chunk),
        }
    }

    /// Takes the end of the body and returns what was still held.
    pub fn finish(&mut self) -> Bytes {
        match self {
            Self::Events(it) => it.finish(),
            Self::Json(it) => it.finish(),
        }
    }
}

/// Rewrites the `data:` lines of an event stream.
#[derive(Debug)]
pub struct EventRewriter {
    cached_tokens: u64,
    /// The start of a line whose end has not come yet.
    held: BytesMut,
    /// Whether the current line grew past the limit, so that the rest of it goes on unread.
    is_past_limit: bool,
}

impl EventRewriter {
    fn new(cached_tokens: u64) -> Self {
        Self { cached_tokens, held: BytesMut::new(), is_past_limit: false }
    }

    fn push(&mut self, mut chunk: Bytes) -> Bytes {
        let mut out = BytesMut::new();
        if self.is_past_limit {
            let Some(end) = memchr(b'\n', &chunk) else { return chunk };
            out.extend_from_slice(&chunk.split_to(end + 1));
            self.is_past_limit = false;
        }
        let Some(last_end) = memrchr(b'\n', &chunk) else {
            self.hold(&chunk, &mut out);
            return out.freeze();
        };
        let lines = chunk.split_to(last_end + 1);
        if out.is_empty() && self.held.is_empty() && memmem::find(&lines, USAGE).is_none() {
            self.hold(&chunk, &mut out);
            return if out.is_empty() { lines } else { [lines, out.freeze()].concat().into() };
        }
        self.held.extend_from_slice(&lines);
        let lines = self.held.split().freeze();
        self.rewrite_lines(&lines, &mut out);
        self.hold(&chunk, &mut out);
        out.freeze()
    }

    fn finish(&mut self) -> Bytes {
        let mut out = BytesMut::new();
        let rest = self.held.split().freeze();
        self.rewrite_lines(&rest, &mut out);
        out.freeze()
    }

    /// Keeps the start of a line, or lets it go to `out` when the line has become too long to be looked into.
    fn hold(&mut self, start: &[u8], out: &mut BytesMut) {
        self.held.extend_from_slice(start);
        if self.held.len() > MAX_LINE_BYTES {
            out.extend_from_slice(&self.held.split());
            self.is_past_limit = true;
        }
    }

    fn rewrite_lines(&self, lines: &[u8], out: &mut BytesMut) {
        for line in lines.split_inclusive(|&it| it == b'\n') {
            match self.rewritten_line(line) {
                Some(payload) => {
                    out.extend_from_slice(DATA);
                    out.extend_from_slice(&payload);
                }
                None => out.extend_from_slice(line),
            }
        }
    }

    /// What follows `data:` in the new line, including the line's end; `None` when the line stays.
    fn rewritten_line(&self, line: &[u8]) -> Option<Vec<u8>> {
        let payload = line.strip_prefix(DATA)?;
        memmem::find(payload, USAGE)?;
        with_cached_tokens(payload, self.cached_tokens)
    }
}

/// Rewrites a JSON body once all of it is here.
#[derive(Debug)]
pub struct JsonRewriter {
    cached_tokens: u64,
    held: BytesMut,
    is_past_limit: bool,
}

impl JsonRewriter {
    fn new(cached_tokens: u64) -> Self {
        Self { cached_tokens, held: BytesMut::new(), is_past_limit: false }
    }

    fn push(&mut self, chunk: Bytes) -> Bytes {
        if self.is_past_limit {
            return chunk;
        }
        self.held.extend_from_slice(&chunk);
        if self.held.len() <= MAX_JSON_BYTES {
            return Bytes::new();
        }
        self.is_past_limit = true;
        self.held.split().freeze()
    }

    fn finish(&mut self) -> Bytes {
        let body = self.held.split().freeze();
        match with_cached_tokens(&body, self.cached_tokens) {
            Some(rewritten) => rewritten.into(),
            None => body,
        }
    }
}

/// The JSON object with `usage.prompt_tokens_details.cached_tokens` set, both inner members made when missing or
/// null; `None` when the text is no object or its `usage` is none.
fn with_cached_tokens(json: &[u8], cached_tokens: u64) -> Option<Vec<u8>> {
    let object = Object::parse(json).ok()?;
    let set = |details: &str| {
        let count = cached_tokens.to_string();
        let edited = Object::parse(details.as_bytes()).ok()?.edited(&[Edit::Set("cached_tokens", &count)]);
        String::from_utf8(edited).ok()
    };
    let usage = edit_nested(object.get("usage")?, &[], &|usage| {
        let details = usage.get("prompt_tokens_details").and_then(set).or_else(|| set("{}"))?;
        Some(usage.edited(&[Edit::Set("prompt_tokens_details", &details)]))
    })?;
    Some(object.edited(&[Edit::Set("usage", &usage)]))
}
