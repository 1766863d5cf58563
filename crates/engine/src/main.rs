//! The engine's process: command line, start order, shutdown, exit code.
//!
//! Exit codes: 0 after a shutdown that was asked for, 1 when the start failed or the engine stopped by itself, 2 for
//! a wrong command line.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::future;
use llmd_common::ready::Readiness;
use llmd_common::shutdown::{Shutdown, Signals, Times};
use llmd_common::telemetry::{self, LogFormat};
use llmd_engine::args::{self, BenchArgs, Command, Invocation};
use llmd_engine::bench::{self, BenchOptions};
use llmd_engine::config::Config;
use llmd_engine::engine::EngineHandle;
use llmd_engine::startup::{self, Server, StartupError};

/// Threads of the HTTP runtime. They wait most of the time, so that compute threads have the cores.
const HTTP_THREADS: usize = 2;
/// Threads that prepare large requests at a time; further ones wait.
const PREPARE_THREADS: usize = 4;
/// For the engine thread to end once nobody waits for answers.
const ENGINE_STOP_TIMEOUT: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let Invocation { command, inert, log_filter } = match args::parse() {
        Ok(invocation) => invocation,
        Err(error) => {
            // A closed standard output or error is the reader's choice.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    telemetry::init(LogFormat::Text, &log_filter);
    if !inert.is_empty() {
        tracing::warn!(flags = inert.join(" "), "accepted without effect");
    }
    match command {
        Command::Serve(args) => match Config::try_from(*args) {
            Ok(config) => exit_code(serve(config)),
            Err(error) => fail(2, &error.into()),
        },
        Command::Bench(args) => exit_code(measure(&args)),
    }
}

fn exit_code(result: anyhow::Result<()>) -> ExitCode {
    result.map_or_else(|error| fail(1, &error), |()| ExitCode::SUCCESS)
}

fn measure(args: &BenchArgs) -> anyhow::Result<()> {
    let BenchArgs { threads, repeats, json } = *args;
    let report = bench::run(BenchOptions { threads, repeats, ..BenchOptions::default() })?;
    let text = if json { serde_json::to_string(&report)? } else { report.to_string() };
    writeln!(std::io::stdout(), "{text}").context("cannot print the figures")
}

fn serve(config: Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(HTTP_THREADS)
        .max_blocking_threads(PREPARE_THREADS)
        .thread_name("http")
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(run(config));
    // A model that is still loading need not be waited for.
    runtime.shutdown_background();
    result
}

/// Serves until a signal.
async fn run(config: Config) -> anyhow::Result<()> {
    let (shutdown, readiness) = (Shutdown::new(), Readiness::new());
    let times = Times { propagation: Duration::ZERO, drain: config.http.shutdown_timeout };
    let signals = Signals::catch().context("cannot wait for signals")?;
    let config = Arc::new(config);
    let servers = startup::listen(&config, &readiness, &shutdown).await?;
    let mut stopping = std::pin::pin!(shutdown.run(signals, &readiness, times));
    let engines = tokio::select! {
        loaded = load(&config, &servers, &shutdown) => loaded?,
        _ = &mut stopping => return Ok(()),
    };
    let is_clean = tokio::select! {
        is_clean = &mut stopping => is_clean,
        () = any_stopped(&engines) => bail!("the engine thread stopped; the log says why"),
    };
    if !is_clean {
        tracing::warn!("requests outlived --shutdown-timeout and were aborted");
    }
    future::join_all(engines.iter().map(stop)).await;
    Ok(())
}

/// Loads every rank, one after another: each uses all the disk there is.
async fn load(
    config: &Arc<Config>,
    servers: &[Server],
    shutdown: &Shutdown,
) -> Result<Vec<EngineHandle>, StartupError> {
    let mut engines = Vec::new();
    for server in servers {
        engines.extend(startup::load(config, server, shutdown).await?);
    }
    Ok(engines)
}

/// Waits until an engine thread ends, which none does by itself.
async fn any_stopped(engines: &[EngineHandle]) {
    let stopped = engines.iter().map(|it| Box::pin(it.commands().closed()));
    future::select_all(stopped).await;
}

async fn stop(engine: &EngineHandle) {
    if tokio::time::timeout(ENGINE_STOP_TIMEOUT, engine.shutdown()).await.is_err() {
        tracing::warn!("the engine thread did not stop in time");
    }
}

/// One line on standard error, whatever the log format.
fn fail(code: u8, error: &anyhow::Error) -> ExitCode {
    let line = format!("{error:#}").replace('\n', " ");
    // A closed standard error leaves the exit code, which says enough.
    let _ = writeln!(std::io::stderr(), "llmd-engine: {line}");
    ExitCode::from(code)
}
