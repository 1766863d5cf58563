//! Replaces the model's name: in a request's body, and back in its response.
//!
//! Only the bytes of the name change. The rest of the body keeps its key order, spacing and number formats.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use memchr::memmem;

/// A copy of `body` with the bytes of `span`, a JSON string, replaced by `name` as a JSON string.
#[must_use]
pub fn replace_model(body: &[u8], span: Range<usize>, name: &str) -> Bytes {
    let name = serde_json::Value::from(name).to_string();
    let mut rewritten = BytesMut::with_capacity(body.len() + name.len());
    rewritten.extend_from_slice(&body[..span.start]);
    rewritten.extend_from_slice(name.as_bytes());
    rewritten.extend_from_slice(&body[span.end..]);
    rewritten.freeze()
}

/// Puts the client's model name back into a response that arrives in chunks.
///
/// Replaces `"model":"<target>"`, also with one space after the colon. A chunk that could end inside such a
/// member is cut there; what was held back goes out with the next chunk, so no member is missed.
#[derive(Debug)]
pub struct ModelRestorer {
    patterns: [(Vec<u8>, Vec<u8>); 2],
    held: BytesMut,
}

impl ModelRestorer {
    /// Turns `target` back into `model`.
    #[must_use]
    pub fn new(target: &str, model: &str) -> Self {
        let member = |colon: &str, name: &str| {
            format!("\"model\"{colon}{}", serde_json::Value::from(name)).into_bytes()
        };
        let pair = |colon| (member(colon, target), member(colon, model));
        Self { patterns: [pair(":"), pair(": ")], held: BytesMut::new() }
    }

    /// The next bytes for the client. With `end` nothing is held back.
    #[must_use]
    pub fn restore(&mut self, chunk: Bytes, end: bool) -> Bytes {
        let mut bytes = if self.held.is_empty() { chunk } else { self.join(&chunk) };
        let n_held = if end { 0 } else { self.longest_open_member(&bytes) };
        self.held = BytesMut::from(&bytes.split_off(bytes.len() - n_held)[..]);
        for (from, to) in &self.patterns {
            bytes = replace_all(bytes, from, to);
        }
        bytes
    }

    fn join(&mut self, chunk: &[u8]) -> Bytes {
        let mut joined = std::mem::take(&mut self.held);
        joined.extend_from_slice(chunk);
        joined.freeze()
    }

    /// Length of the longest tail of `bytes` that a longer text could complete to a pattern. The quote that
    /// ends a complete member is not the start of another one.
    fn longest_open_member(&self, bytes: &[u8]) -> usize {
        let end_of_last = |pattern: &[u8]| memmem::rfind(bytes, pattern).map_or(0, |at| at + pattern.len());
        let after_members = self.patterns.iter().map(|(from, _)| end_of_last(from)).max().unwrap_or(0);
        let tail = &bytes[after_members..];
        let open = |pattern: &[u8]| {
            let longest = (pattern.len() - 1).min(tail.len());
            (1..=longest).rev().find(|&n| tail.ends_with(&pattern[..n])).unwrap_or(0)
        };
        self.patterns.iter().map(|(from, _)| open(from)).max().unwrap_or(0)
    }
}

fn replace_all(bytes: Bytes, from: &[u8], to: &[u8]) -> Bytes {
    let finder = memmem::Finder::new(from);
    if finder.find(&bytes).is_none() {
        return bytes;
    }
    let mut replaced = BytesMut::with_capacity(bytes.len());
    let mut copied = 0;
    for at in finder.find_iter(&bytes) {
        replaced.extend_from_slice(&bytes[copied..at]);
        replaced.extend_from_slice(to);
        copied = at + from.len();
    }
    replaced.extend_from_slice(&bytes[copied..]);
    replaced.freeze()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn changes_the_name_and_nothing_else() {
        let body = br#"{ "z":1.0, "model" : "a",  "n":1e3}"#;
        let start = body.windows(3).position(|it| it == br#""a""#).unwrap();
        let rewritten = replace_model(body, start..start + 3, "b\"c");
        assert_eq!(rewritten, br#"{ "z":1.0, "model" : "b\"c",  "n":1e3}"#.as_slice());
    }

    #[test]
    fn a_chunk_without_the_name_is_passed_on_untouched() {
        let mut restorer = ModelRestorer::new("target", "model");
        let chunk = Bytes::from_static(b"data: {\"id\":1}\n\n");
        assert_eq!(restorer.restore(chunk.clone(), false).as_ptr(), chunk.as_ptr());
    }

    proptest! {
        #[test]
        fn every_way_to_cut_the_response_gives_the_same_text(cuts in prop::collection::vec(0usize..90, 0..6)) {
            let response = br#"data: {"model":"target","x":"\"model\":"}  {"model": "target"} {"model":"targets"}"#;
            let expected = br#"data: {"model":"m","x":"\"model\":"}  {"model": "m"} {"model":"targets"}"#;
            let mut cuts: Vec<usize> = cuts.into_iter().map(|it| it.min(response.len())).collect();
            cuts.sort_unstable();
            let mut restorer = ModelRestorer::new("target", "m");
            let (mut sent, mut start) = (Vec::new(), 0);
            for cut in cuts {
                sent.extend(restorer.restore(Bytes::copy_from_slice(&response[start..cut]), false));
                start = cut;
            }
            sent.extend(restorer.restore(Bytes::copy_from_slice(&response[start..]), true));
            prop_assert_eq!(String::from_utf8(sent).unwrap(), String::from_utf8(expected.to_vec()).unwrap());
        }
    }
}
