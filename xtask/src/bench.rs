//! `cargo xtask bench`: how fast the parts of the stack are on this machine.

mod controller;
mod engine;

use anyhow::Result;
use clap::Subcommand;

/// What is measured.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Bench {
    /// The engine, and what gateway, picker and sidecar add to it (default)
    Engine,
    /// The controller with many services on a real API server
    Controller {
        /// Services to create
        #[arg(long, default_value_t = 1000)]
        services: u32,
    },
}

/// Builds with optimisation, measures, prints tables.
pub(crate) fn run(bench: Bench) -> Result<()> {
    match bench {
        Bench::Engine => engine::run(),
        Bench::Controller { services } => controller::run(services),
    }
}
