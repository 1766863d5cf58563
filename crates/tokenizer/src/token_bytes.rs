//! The bytes that a token stands for by itself.
//!
//! A token need not be whole characters, so its text cannot always be shown, but its bytes can: those of a sequence's
//! tokens, joined, are the bytes of its text. How a vocabulary writes bytes is known from the tokenizer's decoder.
//! Byte-level vocabularies have a printable character for each byte (GPT-2's table); byte-fallback and metaspace ones
//! write a space as `▁`, and the former a byte without a token of its own as `<0xE2>`.

use tokenizers::DecoderWrapper;

/// SentencePiece's visible space.
const VISIBLE_SPACE: char = '▁';

/// How a vocabulary writes bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alphabet {
    /// A character a byte.
    ByteLevel,
    /// Text with visible spaces; `<0xE2>` is a byte when the flag says so.
    VisibleSpaces { byte_fallback: bool },
    /// In a way that only the decoder knows.
    Other,
}

impl Alphabet {
    /// The alphabet that `decoder` reads.
    pub(crate) fn of(decoder: Option<&DecoderWrapper>) -> Self {
        match decoder {
            Some(DecoderWrapper::ByteLevel(_)) => Self::ByteLevel,
            Some(DecoderWrapper::ByteFallback(_)) => Self::VisibleSpaces { byte_fallback: true },
            Some(DecoderWrapper::Metaspace(metaspace)) if metaspace.get_replacement() == VISIBLE_SPACE => {
                Self::VisibleSpaces { byte_fallback: false }
            }
            Some(DecoderWrapper::Sequence(sequence)) => {
                let parts = sequence.get_decoders().iter().map(|it| Self::of(Some(it)));
                parts.into_iter().find(|it| *it != Self::Other).unwrap_or(Self::Other)
            }
            _ => Self::Other,
        }
    }

    /// The bytes of a token given by its vocabulary text; `None` when only the decoder knows.
    pub(crate) fn bytes(self, token: &str) -> Option<Vec<u8>> {
        match self {
            // Added tokens stand in the vocabulary as plain text, which may have characters beyond the table.
            Self::ByteLevel => {
                let bytes: Option<Vec<u8>> = token.chars().map(byte_of).collect();
                Some(bytes.unwrap_or_else(|| token.as_bytes().to_vec()))
            }
            Self::VisibleSpaces { byte_fallback } => {
                let byte = Some(token).filter(|_| byte_fallback).and_then(fallback_byte);
                let text = || token.replace(VISIBLE_SPACE, " ").into_bytes();
                Some(byte.map_or_else(text, |it| vec![it]))
            }
            Self::Other => None,
        }
    }
}

/// The byte that a character of GPT-2's table stands for. Printable bytes of Latin-1 are themselves; the other 68, in
/// order, are the characters from U+0100.
fn byte_of(character: char) -> Option<u8> {
    let code = u32::from(character);
    let byte = match code {
        0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => code,
        0x100..=0x120 => code - 0x100,
        0x121..=0x142 => code - 0x121 + 0x7f,
        0x143 => 0xad,
        _ => return None,
    };
    u8::try_from(byte).ok()
}

/// The byte that `<0xE2>` names.
fn fallback_byte(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    let is_byte = digits.len() == 2 && digits.bytes().all(|it| it.is_ascii_hexdigit());
    u8::from_str_radix(digits, 16).ok().filter(|_| is_byte)
}
