//! Process entry: settings, logs, runtime, signals, exit code.
//!
//! | exit code | |
//! |---|---|
//! | 0 | everything is there |
//! | 1 | a download failed |
//! | 2 | arguments or environment are wrong |
//! | 130, 143 | stopped by SIGINT or SIGTERM; the next run continues |
//!
//! The last line of standard error says why, which Kubernetes shows as the container's termination message.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use clap::error::ErrorKind;
use llmd_common::report::Report;
use llmd_common::telemetry::{self, LogFormat};
use llmd_storage::args::{Args, Environment};
use llmd_storage::config::Config;
use llmd_storage::run;
use tokio::signal::unix::{SignalKind, signal};

/// Exit code of a failed download.
const FAILED: u8 = 1;
/// Exit code of a wrong command line or configuration.
const USAGE: u8 = 2;
/// What shells add to the number of the signal that ended a process.
const SIGNALLED: i32 = 128;

/// How the work ended.
enum End {
    Complete,
    Stopped(SignalKind),
}

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            return error.print().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
        }
        Err(error) => return fail(USAGE, error.to_string().lines().next().unwrap_or_default()),
    };
    let config = match Config::new(&args, &Environment::read()) {
        Ok(config) => config,
        Err(error) => return fail(USAGE, &Report(&error).to_string()),
    };
    telemetry::init(LogFormat::Text, "info");
    match download(&config) {
        Ok(End::Complete) => ExitCode::SUCCESS,
        Ok(End::Stopped(signal)) => stopped(signal),
        Err(error) => fail(FAILED, &format!("{error:#}")),
    }
}

fn download(config: &Config) -> anyhow::Result<End> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let end = runtime.block_on(async {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tokio::select! {
            outcome = run::run(config) => Ok(outcome.map(|()| End::Complete)?),
            _ = terminate.recv() => Ok(End::Stopped(SignalKind::terminate())),
            _ = interrupt.recv() => Ok(End::Stopped(SignalKind::interrupt())),
        }
    });
    runtime.shutdown_background();
    end
}

fn stopped(signal: SignalKind) -> ExitCode {
    let name = if signal == SignalKind::terminate() { "SIGTERM" } else { "SIGINT" };
    let code = u8::try_from(SIGNALLED + signal.as_raw_value()).unwrap_or(FAILED);
    fail(code, &format!("stopped by {name}: what was downloaded is kept, and the next run continues it"))
}

#[expect(clippy::print_stderr, reason = "the one line that becomes the container's termination message")]
fn fail(code: u8, message: &str) -> ExitCode {
    eprintln!("llmd-storage: {message}");
    ExitCode::from(code)
}
