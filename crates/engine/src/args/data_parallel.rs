//! Flags of data parallelism: several copies of the model, each a rank with a scheduler and a KV cache of its own.

use clap::ArgAction::Set;
use clap::Args;

/// Which ranks there are and which of them run here.
#[derive(Debug, Args)]
#[command(next_help_heading = "Data parallelism")]
pub struct DataParallelArgs {
    /// Ranks of the whole deployment.
    #[arg(long, default_value_t = 1)]
    pub data_parallel_size: u32,
    /// Ranks in this process; all of them by default.
    #[arg(long)]
    pub data_parallel_size_local: Option<u32>,
    /// The one rank of this process, where every rank is a process that something outside balances over.
    #[arg(long)]
    pub data_parallel_rank: Option<u32>,
    /// First rank of this process; by default --node-rank times --data-parallel-size-local.
    #[arg(long)]
    pub data_parallel_start_rank: Option<u32>,
    /// Something outside balances over processes of one rank each.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = Set, default_value_t = false)]
    pub data_parallel_external_lb: bool,
    /// This process balances over its own ranks, something outside over the processes.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = Set, default_value_t = false)]
    pub data_parallel_hybrid_lb: bool,
    /// Each rank of this process has a port: --port plus its place among them.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = Set, default_value_t = false)]
    pub data_parallel_multi_port_external_lb: bool,
    /// With a port a rank, where /health, /ready and /readyz speak for all of them.
    #[arg(long, default_value_t = 9256)]
    pub data_parallel_supervisor_port: u16,
    /// What starts the ranks.
    #[arg(long, default_value = "mp")]
    pub data_parallel_backend: String,
    /// Ranks without a server, which a server on another machine feeds (not supported).
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = Set, default_value_t = false)]
    pub headless: bool,
    /// Machines of the deployment.
    #[arg(long, default_value_t = 1)]
    pub nnodes: u32,
    /// This machine among them.
    #[arg(long, default_value_t = 0)]
    pub node_rank: u32,
}
