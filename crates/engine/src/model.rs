//! Models: what a checkpoint's `config.json` says, which architectures are known, and the decoder that they share.

pub mod config;
pub mod decoder;
pub mod generation;
pub mod registry;
pub mod rope;

pub use config::{ConfigError, ModelConfig};
pub use generation::GenerationConfig;
