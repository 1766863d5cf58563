//! The extension server of Envoy Gateway: routes whose backend is an InferencePool.
//!
//! Envoy Gateway alone refuses such a backend. Told that an extension owns the kind, it makes a cluster without
//! endpoints for it and asks the extension twice (`proto/extension/service.proto` of Envoy Gateway 1.9):
//!
//! 1. [`cluster`]: each cluster of a pool goes where the header of the endpoint picker says. The pools are noted in
//!    the cluster's metadata, so nothing is kept between the two questions.
//! 2. [`translation`]: routes to those clusters get the endpoint picker of their pool as an external processor, and
//!    every listener drops the header when a client sends it.
//!
//! Messages are edited field by field ([`wire`]): what this program does not know passes through unchanged, however
//! much newer Envoy Gateway is. [`routes`] looks up the weights when one rule has several pools, because Envoy
//! Gateway does not tell them. [`service`] is the gRPC around it.
//!
//! Not here: picking endpoints, which the endpoint picker of each pool does.

mod cluster;
mod filter;
mod picker;
mod routes;
mod service;
#[cfg(test)]
mod tests;
mod translation;
mod wire;

pub use routes::RouteWeights;
pub use service::ExtensionServer;
