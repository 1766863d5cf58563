//! What the engine will prefill, as bytes that stand for tokens.
//!
//! The picker does not tokenize here. Four bytes of text count as one token and a token id is its four
//! little-endian bytes, as the llm-d router estimates; equal prompts give equal bytes and a prompt that extends
//! another extends its bytes, which is all that prefix matching needs.

use std::borrow::Cow;

use xxhash_rust::xxh64::xxh64;

/// Bytes that count as one token.
pub const BYTES_PER_TOKEN: usize = 4;

/// Tokens an image or video counts for: 640x360 pixels, one token for each 1024.
const TOKENS_PER_MEDIA: usize = 640 * 360 / 1024;

/// A prompt in pieces, in the order the engine will see them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prompt<'a> {
    pieces: Vec<Piece<'a>>,
    n_bytes: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece<'a> {
    Text(Cow<'a, str>),
    Bytes(Vec<u8>),
    /// One token, repeated [`TOKENS_PER_MEDIA`] times by whoever reads it, so that a body of many short URLs
    /// stays small.
    Media([u8; BYTES_PER_TOKEN]),
}

impl<'a> Prompt<'a> {
    /// Adds text.
    pub fn push_text(&mut self, text: Cow<'a, str>) {
        self.n_bytes += text.len();
        self.pieces.push(Piece::Text(text));
    }

    /// Adds token ids.
    pub fn push_tokens(&mut self, tokens: &[u32]) {
        let bytes: Vec<u8> = tokens.iter().flat_map(|it| it.to_le_bytes()).collect();
        self.n_bytes += bytes.len();
        self.pieces.push(Piece::Bytes(bytes));
    }

    /// Adds an image, video or sound, told apart by its URL.
    pub fn push_media(&mut self, url: &str) {
        let [a, b, c, d, ..] = xxh64(url.as_bytes(), 0).to_le_bytes();
        self.n_bytes += TOKENS_PER_MEDIA * BYTES_PER_TOKEN;
        self.pieces.push(Piece::Media([a, b, c, d]));
    }

    /// The bytes, piece by piece.
    pub fn bytes(&self) -> impl Iterator<Item = &[u8]> {
        self.pieces.iter().flat_map(|piece| {
            let (bytes, times) = match piece {
                Piece::Text(text) => (text.as_bytes(), 1),
                Piece::Bytes(bytes) => (bytes.as_slice(), 1),
                Piece::Media(token) => (token.as_slice(), TOKENS_PER_MEDIA),
            };
            std::iter::repeat_n(bytes, times)
        })
    }

    /// Estimated length in tokens.
    #[must_use]
    pub const fn n_tokens(&self) -> usize {
        self.n_bytes.div_ceil(BYTES_PER_TOKEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_four_bytes_as_a_token() {
        let mut prompt = Prompt::default();
        assert_eq!(prompt.n_tokens(), 0);
        prompt.push_text("abcde".into());
        assert_eq!(prompt.n_tokens(), 2);
        prompt.push_tokens(&[1, 2, 3]);
        assert_eq!(prompt.n_tokens(), 5);
    }

    #[test]
    fn media_take_no_more_memory_than_their_url() {
        assert!(size_of::<Piece<'_>>() <= 32);
        let mut prompt = Prompt::default();
        prompt.push_media("a");
        assert!(prompt.pieces.iter().all(|it| !matches!(it, Piece::Bytes(bytes) if bytes.len() > 32)));
    }

    #[test]
    fn media_differ_by_their_url() {
        let bytes = |url| {
            let mut prompt = Prompt::default();
            prompt.push_media(url);
            prompt.bytes().flatten().copied().collect::<Vec<u8>>()
        };
        assert_eq!(bytes("a").len(), 225 * 4);
        assert_eq!(bytes("a"), bytes("a"));
        assert_ne!(bytes("a"), bytes("b"));
    }
}
