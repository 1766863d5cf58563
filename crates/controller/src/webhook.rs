//! Admission and conversion: what the API server asks before it stores or returns an object.
//!
//! A review is a function of its request and of the caches behind [`Cluster`]; nothing here writes or reads the API
//! server, so dry runs and retries are safe. [`server`] carries reviews over TLS, [`certificates`] keeps the
//! server's certificate and the trust of the API server in step, [`manifests`] describes the webhooks to it.

use std::sync::Arc;

use crate::apis::Apis;
use crate::llmisvc::combine::ConfigSource;
use crate::llmisvc::facts::routing::RoutingSource;
use crate::settings::{ClusterSettings, Installation};

pub mod certificates;
mod convert;
pub mod default;
pub mod manifests;
pub mod review;
pub mod server;
#[cfg(test)]
pub(crate) mod testing;
mod validate;

pub use default::LocalModelCache;
pub use server::serve;

/// What reviews read of the cluster: the caches of the process. No method may wait for the API server.
pub trait Cluster: ConfigSource + RoutingSource + Send + Sync {
    fn installation(&self) -> Arc<Installation>;
    fn settings(&self) -> Arc<ClusterSettings>;
    fn apis(&self) -> Apis;
    /// Every `LocalModelCache`, and the `LocalModelNamespaceCache`s of `namespace`.
    fn local_model_caches(&self, namespace: &str) -> Vec<LocalModelCache>;
    /// Whether the installation's presets may not be deleted (`PREVENT_WELL_KNOWN_CONFIG_DELETION`).
    fn protects_presets(&self) -> bool;
}
