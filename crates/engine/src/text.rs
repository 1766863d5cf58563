//! From sampled tokens to the text a client sees: detokenisation, stop strings, the end of an answer.
//!
//! One [`Assembler`] a sequence, a pure state machine fed with [`crate::output::EngineOutput`]. The text does not
//! depend on how it arrives: any split of the same tokens into events gives the same pieces joined.
//!
//! Not here: JSON shapes (`server`), which tokens end a sequence (the engine decides, this module only hides them).

pub mod assemble;
pub mod stop;

pub use assemble::{Assembler, Delta, Ending, TextSettings};
pub use stop::StopFilter;
