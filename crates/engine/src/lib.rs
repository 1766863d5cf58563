//! An OpenAI-compatible inference server.
//!
//! Read in this order: what a request is and what comes back, how a step is planned, how it is computed, and
//! the HTTP surface around it. The engine loop is a thread that owns all mutable state; it never awaits.

pub mod engine;
pub mod metrics;
pub mod output;
pub mod request;

pub mod sampling;
pub mod scheduler;
pub mod step;

pub mod kv_cache;
pub mod kv_transfer;
pub mod runner;

pub mod backend;
pub mod bench;
pub mod model;
pub mod weights;

#[cfg(test)]
pub mod testing;

pub mod args;
pub mod config;
pub mod server;
pub mod startup;
pub mod text;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
