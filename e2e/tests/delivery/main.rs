//! Delivery stories: what an operator gets who installs llmd into a cluster whose pods run.
//!
//! `cargo xtask e2e` builds what they need and becomes this program. The stories run one after another, in the order
//! in which a reader would tell them, against one cluster.

#![expect(clippy::print_stdout, reason = "stories report what they saw")]

mod answers;
mod canary;
mod cold_start;
mod disaggregated;
mod faults;
mod gateway;
mod guides;
mod hello;
mod helm_test;
mod images;
mod install;
mod load;
mod lws;
mod options;
mod pools;
mod refusals;
mod report;
mod rights;
mod run;
mod scale;
mod serving;
mod smoke;
mod stack;
mod uninstall;
mod upgrade;
mod victims;
mod world;

use std::process::ExitCode;
use std::sync::mpsc::{SyncSender, sync_channel};

use anyhow::{Context as _, Result};
use clap::Parser as _;
use llmd_e2e::provider::Choice;
use tokio::signal::unix::{SignalKind, signal};

use options::Options;
use world::World;

/// One thing that must hold, told against a cluster.
struct Story {
    name: &'static str,
    /// What holds when it passes.
    says: &'static str,
    tell: fn(&World) -> Result<()>,
}

/// In the order in which they are told.
const STORIES: [Story; 27] = [
    Story { name: "smoke", says: "a pod has all that a pod expects", tell: smoke::story },
    Story { name: "images", says: "each image starts under strict rules", tell: images::story },
    Story { name: "lws", says: "a group of pods finds its leader", tell: lws::story },
    Story { name: "gateway", says: "a Gateway answers by its route", tell: gateway::story },
    Story { name: "install", says: "two charts bring a controller up", tell: install::story },
    Story { name: "first-service", says: "the guide works as it stands", tell: guides::first_service },
    Story {
        name: "prefill-and-decode",
        says: "the guide works as it stands",
        tell: guides::prefill_and_decode,
    },
    Story { name: "several-nodes", says: "the guide works as it stands", tell: guides::several_nodes },
    Story { name: "envoy-gateway", says: "the guide works as it stands", tell: guides::envoy_gateway },
    Story { name: "serving", says: "answers are the model's, word by word", tell: serving::story },
    Story { name: "canary", says: "requests are shared by weight, and none is lost", tell: canary::story },
    Story { name: "scale", says: "engines come and go by number, and by a stop", tell: scale::story },
    Story { name: "autoscale", says: "an autoscaler follows the load", tell: scale::autoscaler },
    Story {
        name: "helm-test",
        says: "a release's own tests pass, its notes are true",
        tell: helm_test::story,
    },
    Story {
        name: "charts-alone",
        says: "a router and its servers need no controller",
        tell: helm_test::charts_alone,
    },
    Story { name: "pools", says: "a route to a pool works on plain Envoy Gateway", tell: pools::story },
    Story { name: "refusals", says: "wrong manifests are refused by name", tell: refusals::story },
    Story { name: "upgrade", says: "an upgrade costs no request", tell: upgrade::story },
    Story { name: "engine-dies", says: "an engine's death ends its streams alone", tell: faults::engine },
    Story {
        name: "disaggregated-dies",
        says: "a death on either side ends its streams alone",
        tell: disaggregated::pods_die,
    },
    Story {
        name: "engines-crash",
        says: "a crash costs what it holds, at once",
        tell: disaggregated::engines_crash,
    },
    Story { name: "router-dies", says: "picker and controller come back", tell: faults::router },
    Story {
        name: "control-plane-dies",
        says: "nobody who asks a model notices",
        tell: faults::control_plane,
    },
    Story { name: "cold-start", says: "pods are ready soon after their creation", tell: cold_start::story },
    Story { name: "rights", says: "accounts may do what they do, and little else", tell: rights::story },
    Story { name: "uninstall", says: "services outlive the installation", tell: uninstall::story },
    Story { name: "operators-page", says: "the page works as it stands", tell: guides::install },
];

/// Why the main thread goes on.
enum Event {
    Ended(Result<bool>),
    Interrupted,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let choice = options.choice();
    if options.down {
        return exit_code(choice.clear().map(|()| true));
    }
    // One place for each sender: neither waits.
    let (events, event) = sync_channel(2);
    let stories = events.clone();
    std::thread::spawn(move || {
        // The main thread receives until the process ends.
        let _ = stories.send(Event::Ended(run::run(&options)));
    });
    std::thread::spawn(move || interrupted(&events));
    match event.recv() {
        Ok(Event::Ended(done)) => exit_code(done),
        Ok(Event::Interrupted) => interrupt(&choice),
        Err(_) => ExitCode::FAILURE,
    }
}

/// Tells the main thread of the first SIGINT or SIGTERM.
fn interrupted(events: &SyncSender<Event>) {
    let waited = tokio::runtime::Builder::new_current_thread().enable_all().build().map(|runtime| {
        runtime.block_on(async {
            let mut terminated = signal(SignalKind::terminate())?;
            tokio::select! {
                it = tokio::signal::ctrl_c() => it,
                _ = terminated.recv() => Ok(()),
            }
        })
    });
    if let Ok(Ok(())) = waited {
        let _ = events.send(Event::Interrupted);
    }
}

/// The cluster goes, whatever the stories are doing.
fn interrupt(choice: &Choice) -> ExitCode {
    println!("interrupted: taking the cluster down");
    match choice.clear().context("the cluster is not down") {
        Ok(()) => ExitCode::from(130),
        Err(error) => exit_code(Err(error)),
    }
}

fn exit_code(passed: Result<bool>) -> ExitCode {
    match passed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
