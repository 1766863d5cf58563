//! The extension server of Envoy Gateway: routes whose backend is an InferencePool.
//!
//! Envoy Gateway alone refuses such a backend. Told that an extension owns the kind, it makes a cluster without
//! endpoints for it and asks the extension twice (`proto/extension/service.proto` of Envoy Gateway 1.9):
//!
//! 1. For each cluster that pools stand behind: they are noted in the [`cluster`]'s metadata, so nothing is kept
//!    between the two questions.
//! 2. For the whole configuration ([`translation`]): those clusters go where the header of the endpoint picker says,
//!    their routes get the endpoint picker of their pool as an external processor, and every listener drops the header
//!    when a client sends it. Which backends a rule has, and their weights, is looked up ([`rules`], [`plan`]), since
//!    Envoy Gateway tells only pools; and so is whether a picker speaks TLS ([`services`]).
//!
//! Messages are edited field by field ([`wire`]): what this program does not know passes through unchanged, however
//! much newer Envoy Gateway is. [`service`] is the gRPC around it. [`status`] writes the status of pools, which Envoy
//! Gateway does not know to have one.
//!
//! Not here: picking endpoints, which the endpoint picker of each pool does.

mod cluster;
mod filter;
mod lookup;
mod message;
mod picker;
mod plan;
mod pool;
mod rules;
mod service;
mod services;
mod status;
#[cfg(test)]
mod tests;
mod translation;
mod wire;

pub use service::ExtensionServer;
pub use status::Reporter;
