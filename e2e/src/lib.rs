//! Helpers of the end-to-end stories: a real stack of processes, a client, the model's golden answers.
//!
//! The stories talk to processes by wire only. Nothing here knows the inside of a service.

pub mod args;
pub mod client;
pub mod cluster;
pub mod command;
pub mod diagnostics;
pub mod golden;
pub mod helm;
pub mod installation;
pub mod kubectl;
pub mod metrics;
pub mod outcome;
pub mod process;
pub mod provider;
pub mod relay;
pub mod skip;
pub mod stack;
