//! vLLM extensions of the HTTP API that OpenAI has no counterpart for.

pub mod tokenize;
pub mod version;
