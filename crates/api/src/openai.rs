//! OpenAI request and response types.
