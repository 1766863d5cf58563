//! OpenAI request and response types, with the fields vLLM adds to them.
//!
//! Requests are read leniently: unknown fields are ignored and `null` means absent. Ranges are not checked here,
//! because what is legal depends on the model and the server. Responses fix the field order and say for every
//! field whether `null` is written or the field is left out.
//!
//! Not here: the meaning of a field (the engine), streaming frames (`text/event-stream` framing is transport).

pub mod chat;
pub mod completion;
pub mod error;
pub mod logprobs;
pub mod models;
pub mod request;
pub mod sampling;
pub mod usage;

/// A field of the upstream shape that no llmd server fills. Always written as `null`.
pub type Unfilled = ();
