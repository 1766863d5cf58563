//! What the engine and the endpoint picker must agree on about KV blocks.

pub mod approx;
pub mod hash;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
