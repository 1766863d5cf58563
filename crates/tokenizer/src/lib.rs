//! Text in, token ids out, and back: what a model folder says about its text.
//!
//! - [`Tokenizer`]: text ⇄ token ids, exactly as the folder's `tokenizer.json` defines them.
//! - [`StreamDecoder`]: token ids → text piece by piece; the pieces joined are the whole text decoded at once.
//! - [`ChatTemplate`]: chat messages → prompt text, byte for byte what Jinja2 under `transformers` renders.
//!
//! The engine that runs a prompt and the endpoint picker that hashes it must agree on every token, so both use this
//! crate. It reads the folder once, at load; after that it does no I/O, and every type is cheap to clone, `Send` and
//! `Sync`. Encoding is proportional to the text (about a second for 3 MB), so a server does it off its I/O threads.
//! Models, HTTP and stop conditions are not here.

#![forbid(unsafe_code)]

mod chat_template;
mod config;
mod detokenize;
mod token_bytes;
mod tokenizer;

pub use chat_template::{ChatTemplate, ChatTemplateError, ContentFormat, Limits, RenderInput};
pub use config::{ConfigError, SpecialTokens};
pub use detokenize::StreamDecoder;
pub use tokenizer::{Tokenizer, TokenizerError};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_shared_between_threads() {
        fn is_shareable<T: Clone + Send + Sync + 'static>() {}
        is_shareable::<Tokenizer>();
        is_shareable::<StreamDecoder>();
        is_shareable::<ChatTemplate>();
    }
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
