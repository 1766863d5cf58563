//! `cargo xtask`: everything that is done to this workspace and is not a program of it.
//!
//! Each command is one file. Commands run other programs and read the tree; the rules themselves are pure
//! functions with tests beside them.

mod bench;
mod ci;
mod command;
mod deps;
mod e2e;
mod golden;
mod k8s;
mod lint;
mod packages;
mod programs;
mod sums;
mod test;
mod tidy;
#[cfg(test)]
mod tiltfile;
mod up;
mod version;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Build the stack and bring it up on this machine
    Up {
        /// Options of `llmd up`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Build the programs and run every test
    Test {
        /// Only these crates
        #[arg(value_name = "CRATE")]
        crates: Vec<String>,
    },
    /// Formatting, clippy, dependency direction, house rules and packages
    Lint {
        /// Check every crate by itself too, which takes minutes
        #[arg(long)]
        each_crate: bool,
    },
    /// Write the files of the charts that are made from code
    Codegen {
        /// Write nothing; fail when a file differs
        #[arg(long)]
        check: bool,
    },
    /// Regenerate the reference fixtures with Python's transformers
    Golden,
    /// Build a real Kubernetes for the tests from Go modules (`cargo xtask test` does it too)
    K8s {
        /// How much of it
        #[arg(long, value_enum, default_value = "kwok")]
        level: k8s::Level,
        /// Further controllers, as `lws,gateway,metrics`
        #[arg(long, value_enum, value_delimiter = ',')]
        add: Vec<k8s::Addition>,
    },
    /// Build the container images, load them into a runtime or push them (`--help` lists the options)
    #[command(disable_help_flag = true)]
    Images {
        /// Options of `llmd-images`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Make all that a version consists of, and push it (`--help` lists the options)
    #[command(disable_help_flag = true)]
    Release {
        /// Options of the release
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Say the version of the sources, or make them those of another
    Version {
        /// The version to come, as 1.2.3 or 1.2.3-rc.1
        version: Option<String>,
    },
    /// Install llmd into a cluster whose pods run, and see it work
    E2e(e2e::Options),
    /// Measure the engine and what the path before it adds, or the controller
    Bench {
        #[command(subcommand)]
        what: Option<bench::Bench>,
    },
    /// What continuous integration runs: lint, test, then the delivery stories where there can be a node
    Ci,
}

fn main() -> ExitCode {
    match Cli::parse().task {
        Task::Up { args } => exit_code(up::run(&args)),
        Task::Test { crates } => summed_up(test::run(&crates)),
        Task::Lint { each_crate } => exit_code(lint::run(each_crate)),
        Task::Codegen { check } => exit_code(programs::codegen(check)),
        Task::Golden => exit_code(golden::run()),
        Task::K8s { level, add } => {
            exit_code(k8s::build(level, &add).map(|bin| command::say(&bin.display().to_string())))
        }
        Task::Images { args } => exit_code(programs::images("images", &args)),
        Task::Release { args } => exit_code(programs::images("release", &args)),
        Task::Version { version } => exit_code(version::run(version.as_deref())),
        Task::E2e(options) => exit_code(e2e::run(&options)),
        Task::Bench { what } => exit_code(bench::run(what.unwrap_or(bench::Bench::Engine))),
        Task::Ci => ci::run(),
    }
}

fn exit_code(done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            command::say_error(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Says the sums as the last line of all output.
fn summed_up(sums: sums::Sums) -> ExitCode {
    command::say(&sums.to_string());
    if sums.n_failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
