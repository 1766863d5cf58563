//! Producers of request data.

pub mod approx_prefix_cache_producer;
