//! The endpoint picker's process: flags, start order, shutdown, exit code.
//!
//! Exit codes: 0 after a clean drain, 1 when the start failed, 2 for a wrong command line, 3 when requests
//! outlived the drain deadline and were cut.

use std::ffi::OsString;
use std::io::Write;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use llmd_common::ready::Readiness;
use llmd_common::shutdown::{Shutdown, Signals, Times};
use llmd_common::telemetry;
use llmd_epp::args::{Args, ExtensionArgs, Settings, extension};
use llmd_epp::server;

/// What the command line asks for.
enum Role {
    Picker(Box<Settings>),
    Extension(ExtensionArgs),
}

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let role = match extension::parse(&words) {
        Ok(Some(args)) => Ok(Ok(Role::Extension(args))),
        Ok(None) => Args::parse_from_words(words)
            .map(|args| Settings::try_from(args).map(|it| Role::Picker(Box::new(it)))),
        Err(error) => Err(error),
    };
    let role = match role {
        Ok(Ok(role)) => role,
        Ok(Err(error)) => return fail(2, &anyhow::Error::from(error)),
        Err(error) => {
            // A closed standard output or error is the reader's choice.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match &role {
        Role::Picker(settings) => telemetry::init(settings.log_format, &settings.log_filter),
        Role::Extension(args) => telemetry::init(args.zap_encoder, "info"),
    }
    let runtime = match tokio::runtime::Runtime::new().context("cannot start the runtime") {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, &error),
    };
    match runtime.block_on(run(&role)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => fail(3, &anyhow::anyhow!("requests in flight outlived --drain-timeout and were cut")),
        Err(error) => fail(1, &error),
    }
}

/// Serves until a signal; whether every request in flight then ended by itself.
async fn run(role: &Role) -> anyhow::Result<bool> {
    let (shutdown, readiness) = (Shutdown::new(), Readiness::new());
    let times = match role {
        Role::Picker(it) => Times { propagation: it.shutdown_delay, drain: it.drain_timeout },
        Role::Extension(it) => Times { propagation: Duration::ZERO, drain: it.drain_timeout },
    };
    let signals = Signals::catch().context("cannot wait for signals")?;
    let mut end = pin!(shutdown.run(signals, &readiness, times));
    tokio::select! {
        clean = end.as_mut() => return Ok(clean),
        started = start(role, &readiness, &shutdown) => started?,
    };
    Ok(end.await)
}

async fn start(role: &Role, readiness: &Readiness, shutdown: &Shutdown) -> anyhow::Result<()> {
    match role {
        Role::Picker(settings) => server::start(settings, readiness, shutdown).await.map(drop)?,
        Role::Extension(args) => server::start_extension(args, readiness, shutdown).await.map(drop)?,
    }
    Ok(())
}

/// One line on standard error, whatever the log format.
fn fail(code: u8, error: &anyhow::Error) -> ExitCode {
    let line = format!("{error:#}").replace('\n', " ");
    // A closed standard error leaves the exit code, which says enough.
    let _ = writeln!(std::io::stderr(), "llmd-epp: {line}");
    ExitCode::from(code)
}
