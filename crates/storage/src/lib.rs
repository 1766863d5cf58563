//! The storage initializer: an init container that downloads models and adapters, each from a URI to a folder,
//! before the serving container of the pod starts.
//!
//! [`args`] and [`config`] say what to do; [`hub`], [`s3`] and [`plain`] turn a URI into a list of files; [`fetch`]
//! downloads a file, resuming and verifying; [`run`] does it all. Not here: mounting volumes and deciding what is
//! downloaded, which is the controller's part.

pub mod args;
pub mod client;
pub mod config;
pub mod error;
pub mod fetch;
pub mod hub;
pub mod plain;
pub mod progress;
pub mod run;
pub mod s3;
pub mod tls;
