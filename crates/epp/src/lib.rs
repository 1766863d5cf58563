//! Endpoint picker: chooses, for every inference request, the endpoint that serves it.
//!
//! Two edges carry requests in (Envoy's ext_proc stream and a native HTTP proxy) and one [`director`] serves
//! both. The choice itself ([`scheduling`]) is a synchronous function of a request and a snapshot of
//! endpoints; everything that waits (discovery, scraping, the edges) is around it.

pub mod config;
pub mod decisions;
pub mod director;
pub mod startup;
