//! The controller with many services: time until all are converged, writes, memory, idle processor time, and how soon
//! an edit takes effect. Times stand beside what the API server alone needs for the same writes in the same run.
//!
//! A real API server runs with it on the same machine; nothing acts on the objects, so all time is the API server's,
//! the controller's, or this client's. The controller beside this program is measured: build both with optimisation.

mod edits;
mod floor;
mod load;
mod process;
mod report;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use llmd_e2e::cluster::Level;
use llmd_e2e::installation::{Installation, Setup};

use process::Usage;
use report::{Figures, say};

/// Where the services are.
const NAMESPACE: &str = "bench";
/// How long nothing may be written before the controller counts as idle.
const QUIET: Duration = Duration::from_secs(3);
/// How long the idle controller is watched.
const IDLE: Duration = Duration::from_secs(20);

#[derive(Debug, Parser)]
#[command(about = "Measure the controller with many services on a real API server")]
struct Args {
    /// Services to create
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    services: u32,
    /// Edits to time
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    edits: u32,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let measured = tokio::runtime::Runtime::new()
        .context("cannot start the runtime")
        .and_then(|runtime| runtime.block_on(measure(&args)));
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("controller-bench: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn measure(args: &Args) -> Result<()> {
    let installation = match tokio::task::block_in_place(install)? {
        Ok(installation) => installation,
        Err(reason) => anyhow::bail!(reason),
    };
    let cluster = &installation.cluster;
    let client = client(&installation).await?;
    let pid = installation.controller_pid().context("the controller runs")?;

    let empty = Usage::of(pid)?;
    let position = cluster.audit_position();
    let load = load::create(&client, NAMESPACE, args.services).await?;
    let last_write = load::wait_quiet(cluster, QUIET).await;
    let busy = Usage::of(pid)?;
    let writes = cluster.requests_since(position)?;
    load::check_children(&writes, args.services)?;

    let before = Usage::of(pid)?;
    tokio::time::sleep(IDLE).await;
    let idle = Usage::of(pid)?.processor - before.processor;

    let edits = edits::time(&client, NAMESPACE, args.services, args.edits).await?;
    let after = Usage::of(pid)?;
    let floor = floor::measure(&client, cluster, NAMESPACE, &writes).await?;
    Figures {
        services: args.services,
        created: load.created,
        converged: load.converged,
        quiet: last_write.duration_since(load.start),
        empty,
        busy,
        after,
        idle_share: idle.as_secs_f64() / IDLE.as_secs_f64(),
        edits,
        floor,
        writes,
    }
    .print();
    Ok(())
}

fn install() -> Result<Result<Arc<Installation>, String>> {
    let installation = match Installation::start(Level::ControlPlane, Setup::default())? {
        Ok(installation) => installation,
        Err(reason) => return Ok(Err(reason)),
    };
    installation.install_gateway()?;
    installation.cluster.kubectl(&["create", "namespace", NAMESPACE])?;
    Ok(Ok(Arc::new(installation)))
}

async fn client(installation: &Installation) -> Result<Client> {
    let file = Kubeconfig::read_from(installation.cluster.kubeconfig())?;
    let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}
