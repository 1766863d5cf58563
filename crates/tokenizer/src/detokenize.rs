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

/// Prompt tokens kept as context: enough for the four bytes of a character and the space before it.
const PROMPT_CONTEXT: usize = 6;

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
        let mut decoder = Self::new(tokenizer, skip_special_tokens);
        let shown = prompt.iter().rev().copied().filter(|&id| decoder.is_shown(id));
        decoder.window = shown.take(PROMPT_CONTEXT).collect();
        decoder.window.reverse();
        decoder.context = decoder.window.len();
        decoder.emitted = decoder.window_text()?.trim_end_matches(INCOMPLETE).len();
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
mod tests;
