//! The wire types and the CRDs made from them against what the ecosystem ships.
//!
//! Upstream files stand in a folder `shared` beside the repository; without it these tests say so and pass.

#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "helpers of tests")]

mod samples;
mod schemas;
mod server;
mod serving_crds;
mod upstream;
