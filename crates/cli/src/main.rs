//! Entry point of `llmd`: parse, run one command, say what went wrong in one line.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use llmd_cli::args::{BenchCommand, Cli, Command, Environment};
use llmd_cli::{bench, chat, child, down, explain, logs, render, status, up};
use llmd_common::telemetry::{self, LogFormat};

fn main() -> ExitCode {
    telemetry::init(LogFormat::Text, "warn");
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            // Standard error is the last resort: without it nobody can be told.
            let _ = writeln!(std::io::stderr(), "llmd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    let environment = Environment::of_this_process();
    match command {
        Command::Child(args) => return Err(child::become_component(args.parent, &args.command).into()),
        Command::Status(args) => return Ok(status::run(args, &environment)?),
        Command::Logs(args) => logs::run(args, &environment)?,
        Command::Down(args) => down::run(args, &environment)?,
        Command::Render(args) => render::run(&args)?,
        Command::Explain(args) => explain::run(&args)?,
        Command::Up(args) => block_on(up::run(args, &environment))??,
        Command::Chat(args) => block_on(chat::run(args))??,
        Command::Bench(BenchCommand::Http(args)) => block_on(bench::run(args))??,
    }
    Ok(ExitCode::SUCCESS)
}

/// Everything on the main thread: it outlives every child (see `up/process.rs`), and no command needs more.
fn block_on<F: Future>(future: F) -> anyhow::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.context("cannot start the runtime")?.block_on(future))
}
