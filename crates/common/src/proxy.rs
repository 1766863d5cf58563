//! What every HTTP proxy here does the same way: which headers end at a hop, how bodies are read and passed on,
//! how connections to servers behind are made.
//!
//! Not here: where a request goes, headers with a meaning in the serving protocol, what an error looks like.

pub mod body;
pub mod headers;
pub mod upstream;
