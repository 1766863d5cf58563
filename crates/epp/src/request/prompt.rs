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
        let hash = xxh64(url.as_bytes(), 0).to_le_bytes();
        let placeholder = &hash[..BYTES_PER_TOKEN];
        let bytes = placeholder.repeat(TOKENS_PER_MEDIA);
        self.n_bytes += bytes.len();
        self.pieces.push(Piece::Bytes(bytes));
    }

    /// The bytes, piece by piece.
    pub fn bytes(&self) -> impl Iterator<Item = &[u8]> {
        self.pieces.iter().map(|piece| match piece {
            Piece::Text(text) => text.as_bytes(),
            Piece::Bytes(bytes) => bytes,
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
