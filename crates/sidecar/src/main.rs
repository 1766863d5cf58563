//! Process entry: settings, logs, runtime, exit code.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use clap::error::ErrorKind;
use llmd_common::shutdown::Shutdown;
use llmd_common::telemetry;
use llmd_sidecar::args::{Args, Env};
use llmd_sidecar::config::Config;
use llmd_sidecar::server::Sidecar;

/// Exit code of a wrong command line or configuration.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            return error.print().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
        }
        Err(error) => return fail(USAGE, first_line(&error.to_string())),
    };
    let config = match Config::new(args, &Env::read()) {
        Ok(config) => config,
        Err(error) => return fail(USAGE, &llmd_common::report::Report(&error).to_string()),
    };
    telemetry::init(config.log_format, config.log_level);
    match run(config) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => fail(1, "requests were cut off at the end of --shutdown-timeout"),
        Err(error) => fail(1, &format!("{error:#}")),
    }
}

fn run(config: Config) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let sidecar = Sidecar::bind(config, Shutdown::new()).await?;
        sidecar.run().await.context("cannot wait for signals")
    })
}

/// What is wrong, without the usage text below it.
fn first_line(message: &str) -> &str {
    let line = message.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line)
}

#[expect(clippy::print_stderr, reason = "the one line for whoever started the process, with or without logs")]
fn fail(code: u8, message: &str) -> ExitCode {
    eprintln!("llmd-sidecar: {message}");
    ExitCode::from(code)
}
