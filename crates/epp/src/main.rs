//! The endpoint picker's process: flags, start order, shutdown, exit code.
//!
//! Exit codes: 0 after a clean drain, 1 when the start failed, 2 for a wrong command line, 3 when requests
//! outlived the drain deadline and were cut.

use std::io::Write;
use std::pin::pin;
use std::process::ExitCode;

use anyhow::Context;
use llmd_common::ready::Readiness;
use llmd_common::shutdown::{Shutdown, Signals, Times};
use llmd_common::telemetry;
use llmd_epp::args::{Args, Settings};
use llmd_epp::server;

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
    let runtime = match tokio::runtime::Runtime::new().context("cannot start the runtime") {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, &error),
    };
    match runtime.block_on(run(settings)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => fail(3, &anyhow::anyhow!("requests in flight outlived --drain-timeout and were cut")),
        Err(error) => fail(1, &error),
    }
}

/// Serves until a signal; whether every request in flight then ended by itself.
async fn run(settings: Settings) -> anyhow::Result<bool> {
    let (shutdown, readiness) = (Shutdown::new(), Readiness::new());
    let times = Times { propagation: settings.shutdown_delay, drain: settings.drain_timeout };
    let signals = Signals::catch().context("cannot wait for signals")?;
    let mut end = pin!(shutdown.run(signals, &readiness, times));
    tokio::select! {
        clean = end.as_mut() => return Ok(clean),
        started = server::start(&settings, &readiness, &shutdown) => started?,
    };
    Ok(end.await)
}

/// One line on standard error, whatever the log format.
fn fail(code: u8, error: &anyhow::Error) -> ExitCode {
    let line = format!("{error:#}").replace('\n', " ");
    // A closed standard error leaves the exit code, which says enough.
    let _ = writeln!(std::io::stderr(), "llmd-epp: {line}");
    ExitCode::from(code)
}
