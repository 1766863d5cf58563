//! What every process that talks to a Kubernetes API server shares. Behind the feature `kubernetes`, so that the
//! others do not carry a client.

pub mod client;
pub mod lease;
pub mod metrics_access;
pub mod watch;
