//! Token ids → text, piece by piece, for streaming.
//!
//! A token is not always a whole number of characters, and some decoders look at the neighbour (a leading space is
//! dropped at the very start only). So text is always decoded over a small window: the tokens of the last finished
//! piece, as context, and the tokens since. A piece is handed out when the window's text ends in whole characters.
//!
//! Guarantee: the pieces and what [`StreamDecoder::finish`] returns, joined, are the full decode of the same ids, for
//! byte-level vocabularies with any ids and for byte-fallback vocabularies with ids that encode a text. Stop strings
//! are not here: they are a matter of the text, not of tokens.

use crate::tokenizer::{Tokenizer, TokenizerError};

/// What an incomplete character decodes to until its other bytes arrive.
const INCOMPLETE: char = char::REPLACEMENT_CHARACTER;

/// Prompt tokens that are read to find where the last character of the prompt ends.
const PROMPT_TAIL: usize = 32;

/// The most bytes, so the most tokens, of a character.
const CHARACTER_TOKENS: usize = 4;

/// Tokens that may wait for their character to be completed. A character has at most four bytes, so only garbage gets
/// here; it is then emitted as it stands, which keeps the work per token bounded.
const MAX_WINDOW: usize = 128;

/// Decodes one sequence incrementally. One per stream; cheap to make.
#[derive(Debug, Clone)]
pub struct StreamDecoder {
    tokenizer: Tokenizer,
    skip_special_tokens: bool,
    /// Tokens of the last finished piece, then those since.
    window: Vec<u32>,
    /// How many tokens of `window` are the last finished piece.
    context: usize,
    /// How many bytes of the window's text are already handed out.
    emitted: usize,
}

impl StreamDecoder {
    /// A decoder for a text that begins with the first pushed token.
    #[must_use]
    pub const fn new(tokenizer: Tokenizer, skip_special_tokens: bool) -> Self {
        Self { tokenizer, skip_special_tokens, window: Vec::new(), context: 0, emitted: 0 }
    }

    /// A decoder for a text that continues a prompt: a space between the two is kept, and a character begun by the
    /// prompt is completed.
    pub fn after_prompt(
        tokenizer: Tokenizer,
        prompt: &[u32],
        skip_special_tokens: bool,
    ) -> Result<Self, TokenizerError> {
        let unread = Self::new(tokenizer, skip_special_tokens);
        let mut tail: Vec<u32> =
            prompt.iter().rev().copied().filter(|&id| unread.is_shown(id)).take(PROMPT_TAIL).collect();
        tail.reverse();
        // The tail may begin inside a character, and a byte-fallback decoder reads nothing right from there. From one
        // of the next few tokens it does, and then a character's end is met.
        for start in 0..CHARACTER_TOKENS.min(tail.len()) {
            let primed = unread.read(&tail[start..])?;
            if primed.context > 0 {
                return Ok(primed);
            }
        }
        unread.read(&tail)
    }

    /// A copy that has taken these tokens.
    fn read(&self, ids: &[u32]) -> Result<Self, TokenizerError> {
        let mut decoder = self.clone();
        for &id in ids {
            decoder.push(id)?;
        }
        Ok(decoder)
    }

    /// Takes the next token and returns the text that became certain; often empty.
    pub fn push(&mut self, id: u32) -> Result<String, TokenizerError> {
        if !self.is_shown(id) {
            return Ok(String::new());
        }
        self.window.push(id);
        let text = self.window_text()?;
        let full = self.window.len() - self.context >= MAX_WINDOW;
        let certain = if full { text.as_str() } else { text.trim_end_matches(INCOMPLETE) };
        let piece = self.take_new(certain);
        if full || (certain.len() == text.len() && !piece.is_empty()) {
            self.slide()?;
        }
        Ok(piece)
    }

    /// Returns what is left: the replacement characters of bytes that never became a character.
    pub fn finish(mut self) -> Result<String, TokenizerError> {
        let text = self.window_text()?;
        Ok(self.take_new(&text))
    }

    /// Whether the token has any text: neither skipped nor unknown to the tokenizer.
    fn is_shown(&self, id: u32) -> bool {
        !(self.skip_special_tokens && self.tokenizer.is_special(id))
            && self.tokenizer.id_to_token(id).is_some()
    }

    fn window_text(&self) -> Result<String, TokenizerError> {
        self.tokenizer.decode(&self.window, self.skip_special_tokens)
    }

    /// The part of `certain` that is not handed out yet. What was handed out is never taken back: when later tokens
    /// change the reading of earlier bytes (byte-fallback garbage), nothing is emitted until the text grows past it.
    fn take_new(&mut self, certain: &str) -> String {
        let piece = certain.get(self.emitted..).unwrap_or_default().to_owned();
        self.emitted += piece.len();
        piece
    }

    /// Forgets the old context; the tokens since become the new one.
    fn slide(&mut self) -> Result<(), TokenizerError> {
        self.window.drain(..self.context);
        self.context = self.window.len();
        self.emitted = self.window_text()?.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn decoder(skip_special_tokens: bool) -> StreamDecoder {
        let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/models/llmd-tiny");
        StreamDecoder::new(Tokenizer::from_dir(tiny).unwrap(), skip_special_tokens)
    }

    fn byte_ids(decoder: &StreamDecoder, text: &str) -> Vec<u32> {
        decoder.tokenizer.encode(text, false).unwrap()
    }

    #[test]
    fn a_character_comes_out_whole_with_its_last_byte() {
        let mut decoder = decoder(true);
        let ids = byte_ids(&decoder, "🙂");
        assert_eq!(ids.len(), 4, "one token a byte");
        let pieces: Vec<_> = ids.iter().map(|&id| decoder.push(id).unwrap()).collect();
        assert_eq!(pieces, ["", "", "", "🙂"]);
        assert_eq!(decoder.finish().unwrap(), "");
    }

    #[test]
    fn what_never_became_a_character_comes_out_at_the_end() {
        let mut decoder = decoder(true);
        let ids = byte_ids(&decoder, "a🙂");
        assert_eq!(decoder.push(ids[0]).unwrap(), "a");
        assert_eq!(decoder.push(ids[1]).unwrap(), "");
        assert_eq!(decoder.finish().unwrap(), "\u{fffd}");
    }

    #[test]
    fn special_and_unknown_tokens_have_no_text_when_skipped() {
        let mut skipping = decoder(true);
        assert_eq!(skipping.push(3).unwrap(), "");
        assert_eq!(skipping.push(1_000_000).unwrap(), "");
        let mut keeping = decoder(false);
        assert_eq!(keeping.push(3).unwrap(), "<|im_end|>");
    }

    #[test]
    fn garbage_neither_grows_the_window_nor_gets_lost() {
        let mut decoder = decoder(true);
        let byte = byte_ids(&decoder, "🙂")[0];
        let mut text = String::new();
        for _ in 0..3 * MAX_WINDOW {
            text += &decoder.push(byte).unwrap();
            assert!(decoder.window.len() <= 2 * MAX_WINDOW);
        }
        text += &decoder.finish().unwrap();
        assert_eq!(text.chars().count(), 3 * MAX_WINDOW);
        assert!(text.chars().all(|c| c == INCOMPLETE));
    }
}
