//! Which data-parallel ranks run in this process, and behind which ports.
//!
//! The rules are vLLM's (`--data-parallel-*`). A rank of a dense model is a whole replica: ranks share nothing, so
//! `--data-parallel-address` and `--data-parallel-rpc-port`, over which vLLM's ranks meet, have no effect here.

use std::ops::Range;

use super::ConfigError;
use crate::args::DataParallelArgs;

/// The ranks of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataParallel {
    /// Ranks of the whole deployment.
    pub size: u32,
    /// Those of this process; at least one.
    pub ranks: Range<u32>,
    /// How they are reached.
    pub ports: RankPorts,
}

/// How the ranks of a process are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RankPorts {
    /// By one port, whose server balances over them.
    Shared,
    /// Each by a port of its own.
    Each {
        /// Says whether all of them are healthy.
        supervisor: u16,
    },
}

impl DataParallel {
    /// Number of ranks in this process.
    #[must_use]
    pub fn n_local(&self) -> usize {
        self.ranks.len()
    }

    /// The ranks behind each port, and the port. 0 stays 0: any free one.
    #[must_use]
    pub fn servers(&self, port: u16) -> Vec<(u16, Range<u32>)> {
        match self.ports {
            RankPorts::Shared => vec![(port, self.ranks.clone())],
            RankPorts::Each { .. } => {
                let port_of = |idx: u16| if port == 0 { 0 } else { port.saturating_add(idx) };
                (0..).zip(self.ranks.clone()).map(|(idx, rank)| (port_of(idx), rank..rank + 1)).collect()
            }
        }
    }
}

/// Who spreads requests over ranks.
enum Balancing {
    /// This server, over all ranks.
    Internal,
    /// Somebody else, over processes with one rank each.
    External,
    /// This server over its own ranks, somebody else over servers.
    Hybrid,
    /// Somebody else, over ports with one rank each.
    MultiPort,
}

pub(super) fn from_args(args: &DataParallelArgs, port: u16) -> Result<DataParallel, ConfigError> {
    refuse_unsupported(args)?;
    let size = args.data_parallel_size;
    if size == 0 {
        return Err(value("--data-parallel-size", "must be at least 1"));
    }
    let balancing = balancing(args)?;
    let ranks = match balancing {
        Balancing::Internal => internal(args)?,
        Balancing::External => external(args)?,
        Balancing::Hybrid | Balancing::MultiPort => of_node(args)?,
    };
    if ranks.end > size {
        let problem = format!("rank {} is not below {size}, the number of ranks", ranks.end - 1);
        return Err(value("--data-parallel-size", problem));
    }
    let ports = match balancing {
        Balancing::MultiPort => RankPorts::Each { supervisor: args.data_parallel_supervisor_port },
        _ => RankPorts::Shared,
    };
    let last = u32::from(port) + u32::try_from(ranks.len()).unwrap_or(u32::MAX) - 1;
    if matches!(balancing, Balancing::MultiPort) && port != 0 && last > u32::from(u16::MAX) {
        let problem = format!("{} ranks need ports up to 65535, and {last} is the last", ranks.len());
        return Err(value("--port", problem));
    }
    Ok(DataParallel { size, ranks, ports })
}

fn refuse_unsupported(args: &DataParallelArgs) -> Result<(), ConfigError> {
    let unsupported = |flag, what: &str| Err(ConfigError::Unsupported { flag, what: what.to_owned() });
    if args.headless {
        let what = "no server here feeds an engine of another machine; leave it out, and with data parallelism \
                    give every machine a server by --data-parallel-hybrid-lb";
        return unsupported("--headless", what);
    }
    if args.data_parallel_backend != "mp" {
        return unsupported("--data-parallel-backend", "ranks are started in this process; use mp");
    }
    Ok(())
}

fn balancing(args: &DataParallelArgs) -> Result<Balancing, ConfigError> {
    let is_external = args.data_parallel_external_lb || args.data_parallel_rank.is_some();
    // A first rank says that other ranks are elsewhere, behind servers of their own.
    let is_hybrid = args.data_parallel_hybrid_lb || args.data_parallel_start_rank.is_some_and(|it| it > 0);
    match (is_external, is_hybrid, args.data_parallel_multi_port_external_lb) {
        (false, false, false) => Ok(Balancing::Internal),
        (true, false, false) => Ok(Balancing::External),
        (false, true, false) => Ok(Balancing::Hybrid),
        (false, _, true) if !args.data_parallel_hybrid_lb => Ok(Balancing::MultiPort),
        _ => Err(value(
            "--data-parallel-external-lb",
            "choose one of --data-parallel-external-lb (or --data-parallel-rank), --data-parallel-hybrid-lb and \
             --data-parallel-multi-port-external-lb",
        )),
    }
}

fn internal(args: &DataParallelArgs) -> Result<Range<u32>, ConfigError> {
    let size = args.data_parallel_size;
    let local = args.data_parallel_size_local.unwrap_or(size);
    if local < size || (size > 1 && args.nnodes > 1) {
        return Err(ConfigError::Unsupported {
            flag: "--data-parallel-size",
            what: format!(
                "{size} ranks on several machines behind one server; give every machine a server by \
                 --data-parallel-hybrid-lb"
            ),
        });
    }
    Ok(0..local)
}

fn external(args: &DataParallelArgs) -> Result<Range<u32>, ConfigError> {
    let Some(rank) = args.data_parallel_rank else {
        return Err(value("--data-parallel-external-lb", "needs --data-parallel-rank"));
    };
    if args.data_parallel_size_local.is_some_and(|it| it != 1) {
        return Err(value("--data-parallel-size-local", "must be 1 with --data-parallel-rank"));
    }
    Ok(rank..rank.saturating_add(1))
}

/// The ranks of this machine: as many as flags say, or an equal share, from the first that flags say, or after those
/// of the machines before.
fn of_node(args: &DataParallelArgs) -> Result<Range<u32>, ConfigError> {
    let local = match args.data_parallel_size_local {
        Some(0) => return Err(value("--data-parallel-size-local", "must be at least 1")),
        Some(local) => local,
        None if args.nnodes > 0 && args.data_parallel_size.is_multiple_of(args.nnodes) => {
            args.data_parallel_size / args.nnodes
        }
        None => {
            return Err(value("--data-parallel-size-local", "is needed: ranks do not divide by --nnodes"));
        }
    };
    let first = args.data_parallel_start_rank.unwrap_or_else(|| args.node_rank.saturating_mul(local));
    Ok(first..first.saturating_add(local))
}

fn value(flag: &'static str, problem: impl Into<String>) -> ConfigError {
    ConfigError::Value { flag, problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::args::{Command, parse_from};

    fn parsed(flags: &str) -> Result<DataParallel, String> {
        let words = ["llmd-engine", "serve", "m"].into_iter().chain(flags.split_whitespace());
        let parsed = parse_from(words.map(OsString::from), "", String::new()).unwrap();
        let Command::Serve(args) = parsed.command else { unreachable!("parsed as bench") };
        from_args(&args.parallel.data, args.http.port).map_err(|it| it.to_string())
    }

    #[track_caller]
    fn check(flags: &str, ranks: Range<u32>, ports: RankPorts) {
        let it = parsed(flags).unwrap();
        assert_eq!((it.ranks, it.ports), (ranks, ports), "{flags}");
    }

    #[test]
    fn the_deployment_modes_of_vllm() {
        let each = RankPorts::Each { supervisor: 9256 };
        check("", 0..1, RankPorts::Shared);
        check("-dp 3", 0..3, RankPorts::Shared);
        check("--data-parallel-size=4 --data-parallel-size-local=4", 0..4, RankPorts::Shared);
        check("-dp 4 -dpn 2", 2..3, RankPorts::Shared);
        check("-dp 4 --data-parallel-external-lb --data-parallel-rank 0", 0..1, RankPorts::Shared);
        check("-dp 4 --data-parallel-hybrid-lb -dpl 2 -dpr 2", 2..4, RankPorts::Shared);
        check("-dp 4 -dpl 2 --data-parallel-start-rank 2", 2..4, RankPorts::Shared);
        check("-dp 4 -dph -dpl 2 --nnodes=2 --node-rank=1", 2..4, RankPorts::Shared);
        check("-dp 4 -dph --nnodes=2 --node-rank=1", 2..4, RankPorts::Shared);
        check("-dp 4 --data-parallel-multi-port-external-lb -dpl 2 -dpr 2", 2..4, each);
    }

    #[test]
    fn a_port_for_all_ranks_or_for_each() {
        let servers = |flags: &str, port| parsed(flags).unwrap().servers(port);
        let each = "-dp 4 --data-parallel-multi-port-external-lb -dpl 2 -dpr 2";
        assert_eq!(servers("-dp 2", 8000), [(8000, 0..2)]);
        assert_eq!(servers(each, 8200), [(8200, 2..3), (8201, 3..4)]);
        assert_eq!(servers(each, 0), [(0, 2..3), (0, 3..4)]);
    }

    #[test]
    fn what_makes_no_sense_or_is_not_built_is_refused() {
        for (flags, told) in [
            ("-dp 0", "--data-parallel-size: must be at least 1"),
            ("-dp 2 -dpn 2", "--data-parallel-size: rank 2 is not below 2"),
            ("-dp 2 -dph -dpl 2 -dpr 1", "--data-parallel-size: rank 2 is not below 2"),
            ("-dp 2 -dpn 0 -dpl 2", "--data-parallel-size-local: must be 1 with --data-parallel-rank"),
            ("-dp 2 -dpe", "--data-parallel-external-lb: needs --data-parallel-rank"),
            ("-dp 2 -dpn 0 -dph", "--data-parallel-external-lb: choose one of"),
            (
                "-dp 2 -dph --data-parallel-multi-port-external-lb",
                "--data-parallel-external-lb: choose one of",
            ),
            ("-dp 2 -dph -dpl 0", "--data-parallel-size-local: must be at least 1"),
            ("-dp 3 -dph --nnodes=2", "--data-parallel-size-local: is needed"),
            ("-dp 2 -dpl 1", "--data-parallel-size: not supported: 2 ranks on several machines"),
            ("-dp 2 --nnodes 2", "--data-parallel-size: not supported: 2 ranks on several machines"),
            ("-dp 2 --headless -dpr 1", "--headless: not supported"),
            ("-dp 2 --data-parallel-backend=ray", "--data-parallel-backend: not supported"),
            ("--port 65535 -dp 2 --data-parallel-multi-port-external-lb", "--port: 2 ranks need ports"),
        ] {
            let error = parsed(flags).unwrap_err();
            assert!(error.starts_with(told), "{flags}: {error}");
        }
    }
}
