//! The controller of `LLMInferenceService`: from a manifest to the objects that serve a model, and back to a
//! status that says how they do.
//!
//! Reading order: [`llmisvc`] is the pipeline, `llmisvc/render` what a service becomes, [`run`] how the process
//! watches and works. Everything between reading and writing the API server is a pure function, so the command
//! line renders the same bytes offline.

pub mod apis;
pub mod apply;
pub mod args;
pub mod children;
pub mod cipher_suites;
pub mod context;
pub mod events;
pub mod fault;
pub mod index;
pub mod legacy;
pub mod live;
pub mod llmisvc;
pub mod llmisvcconfig;
pub mod metrics;
pub mod names;
pub mod offline;
pub mod part;
pub mod pki;
pub mod presets;
pub mod primary;
pub mod probes;
pub mod quantity;
pub mod queue;
pub mod rbac;
pub mod run;
pub mod serving;
pub mod settings;
pub mod start_error;
pub mod storage_version;
#[cfg(test)]
mod testing;
pub mod watch;
pub mod webhook;
pub mod worker;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
