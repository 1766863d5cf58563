//! Prefill/decode sidecar: the proxy in front of a decode engine that has prefill done elsewhere.
//!
//! A request with a prefill header becomes two: the prefill engine computes the prompt's KV cache and names its
//! blocks, the local engine pulls them and generates the answer, which streams to the client. Everything else
//! passes to the local engine unchanged.
//!
//! In reading order: [`route`] (who answers), [`service`] (one request), [`disagg`] (the two legs),
//! [`connector`] (their bodies), [`allowlist`] (whom headers may name), [`usage`] (what comes back), [`proxy`] and [`upstream`] (the wire), [`server`]
//! (listeners and their life), [`args`] and [`config`] (settings).
//!
//! Guarantees: a client's routing headers and `kv_transfer_params` never reach an engine; bytes that need no
//! edit are not touched; a client that leaves cancels both legs; one request never ends another.
//!
//! Not here: choosing the prefill endpoint (the endpoint picker does), moving KV blocks (the engines do).

pub mod allowlist;
pub mod args;
pub mod body;
pub mod client_body;
pub mod config;
pub mod connector;
pub mod disagg;
pub mod error;
pub mod headers;
pub mod json;
pub mod metrics;
pub mod proxy;
pub mod route;
pub mod server;
pub mod service;
pub mod upstream;
pub mod usage;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
