//! The controller's process: flags, start order, shutdown, exit code.
//!
//! Exit codes: 0 after a clean end, 1 when the start failed, 2 for a wrong command line, 3 when work in progress
//! outlived the deadline and was cut.

use std::io::Write;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use llmd_common::kubernetes::client::client;
use llmd_common::ready::Readiness;
use llmd_common::shutdown::{Shutdown, Signals, Times};
use llmd_common::telemetry;
use llmd_controller::args::{Args, Settings};
use llmd_controller::run;

/// Webhook requests and reconciles end quickly, so the end need not wait long.
const TIMES: Times = Times { propagation: Duration::ZERO, drain: Duration::from_secs(20) };

fn main() -> ExitCode {
    let args = match Args::parse_from_words(std::env::args_os()) {
        Ok(args) => args,
        Err(error) => {
            // A closed standard output or error is the reader's choice.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let settings = match Settings::try_from(args) {
        Ok(settings) => settings,
        Err(error) => return fail(2, &anyhow::Error::from(error)),
    };
    telemetry::init(settings.log_format, &settings.log_filter);
    settings.warnings.iter().for_each(|it| tracing::warn!("{it}"));
    let runtime = match tokio::runtime::Runtime::new().context("cannot start the runtime") {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, &error),
    };
    match runtime.block_on(serve(settings)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => fail(3, &anyhow::anyhow!("work in progress was cut")),
        Err(error) => fail(1, &error),
    }
}

/// Runs until a signal; whether everything then ended by itself.
async fn serve(settings: Settings) -> anyhow::Result<bool> {
    let (shutdown, readiness) = (Shutdown::new(), Readiness::new());
    let signals = Signals::catch().context("cannot wait for signals")?;
    let client = client(settings.kubeconfig.as_deref()).await?;
    let mut end = pin!(shutdown.run(signals, &readiness, TIMES));
    tokio::select! {
        clean = end.as_mut() => return Ok(clean),
        started = run::start(&settings, client, &readiness, &shutdown) => started?,
    };
    Ok(end.await)
}

/// One line on standard error, whatever the log format.
fn fail(code: u8, error: &anyhow::Error) -> ExitCode {
    let line = format!("{error:#}").replace('\n', " ");
    // A closed standard error leaves the exit code, which says enough.
    let _ = writeln!(std::io::stderr(), "llmd-controller: {line}");
    ExitCode::from(code)
}
