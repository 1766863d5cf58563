//! Filters.

pub mod decode_filter;
pub mod prefill_filter;
