//! Process entry: settings, logs, runtime, exit code.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use clap::error::ErrorKind;
use llmd_common::report::Report;
use llmd_common::telemetry::{self, LogFormat};
use llmd_storage::args::{Args, Environment};
use llmd_storage::config::Config;
use llmd_storage::run;

/// Exit code of a wrong command line or configuration.
const USAGE: u8 = 2;

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
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &format!("{error:#}")),
    }
}

fn download(config: &Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    Ok(runtime.block_on(run::run(config))?)
}

#[expect(clippy::print_stderr, reason = "the one line that becomes the container's termination message")]
fn fail(code: u8, message: &str) -> ExitCode {
    eprintln!("llmd-storage: {message}");
    ExitCode::from(code)
}
