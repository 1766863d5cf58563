//! From logits to a token: parameters, penalties, sampling and log-probabilities.

pub mod params;

pub use params::SamplingParams;
