//! What every llmd process shares and nothing that knows a domain.
//!
//! A module belongs here when a second process needs it. There is no type of the serving protocol in this
//! crate: it depends on no other workspace crate.

pub mod admin;
#[cfg(target_env = "musl")]
mod allocator;
pub mod backoff;
pub mod build_info;
pub mod flag_value;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
pub mod metrics;
pub mod proxy;
pub mod ready;
pub mod report;
pub mod serve;
pub mod shutdown;
pub mod telemetry;
pub mod tls;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
