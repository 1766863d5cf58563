//! Endpoint picker: chooses, for every inference request, the endpoint that serves it.
//!
//! Two edges carry requests in (Envoy's ext_proc stream and a native HTTP proxy) and one [`director`] serves
//! both. The choice itself ([`scheduling`]) is a synchronous function of a request and a snapshot of
//! endpoints; everything that waits (discovery, scraping, the edges) is around it.

pub mod admin;
pub mod args;
pub mod config;
pub mod control_headers;
pub mod datalayer;
pub mod datastore;
pub mod decisions;
pub mod director;
pub mod discovery;
pub mod envoy_gateway;
pub mod ext_proc;
pub mod kubernetes;
pub mod metrics;
pub mod plugin;
pub mod plugins;
pub mod policies;
pub mod proxy;
pub mod request;
pub mod scheduling;
pub mod server;
pub mod startup;

#[cfg(test)]
mod testing;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
