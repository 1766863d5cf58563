//! Delivery stories: what an operator gets who installs llmd into a cluster whose pods run.
//!
//! `cargo xtask e2e` builds what they need and becomes this program. The stories run one after another, in the order
//! in which a reader would tell them, against one cluster.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "stories report what they saw")]

mod answers;
mod beside;
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

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::sync::mpsc::{SyncSender, sync_channel};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Parser as _;
use llmd_e2e::provider::Addition::{self, Gateway, Lws, Metrics};
use llmd_e2e::provider::Choice;
use tokio::signal::unix::{SignalKind, signal};

use options::Options;
use world::World;

type Tell = fn(&World) -> Result<()>;

/// One thing that must hold, told against a cluster.
struct Story {
    name: &'static str,
    /// What holds when it passes.
    says: &'static str,
    /// Whether it takes llmd's images.
    of_llmd: bool,
    /// Controllers of others that the cluster has when it is told.
    with: &'static [Addition],
    tell: Tell,
}

impl Story {
    /// About the cluster itself.
    const fn of_cluster(
        name: &'static str,
        says: &'static str,
        with: &'static [Addition],
        tell: Tell,
    ) -> Self {
        Self { name, says, of_llmd: false, with, tell }
    }

    /// About llmd in it.
    const fn of_llmd(name: &'static str, says: &'static str, with: &'static [Addition], tell: Tell) -> Self {
        Self { name, says, of_llmd: true, with, tell }
    }
}

/// In the order in which they are told.
const STORIES: [Story; 27] = [
    Story::of_cluster("smoke", "a pod has all that a pod expects", &[], smoke::story),
    Story::of_llmd("images", "each image starts under strict rules", &[], images::story),
    Story::of_cluster("lws", "a group of pods finds its leader", &[Lws], lws::story),
    Story::of_cluster("gateway", "a Gateway answers by its route", &[Gateway], gateway::story),
    Story::of_llmd("install", "two charts bring a controller up", &[], install::story),
    Story::of_llmd("first-service", "the guide works as it stands", &[], guides::first_service),
    Story::of_llmd("prefill-and-decode", "the guide works as it stands", &[], guides::prefill_and_decode),
    Story::of_llmd("several-nodes", "the guide works as it stands", &[Lws], guides::several_nodes),
    Story::of_llmd("envoy-gateway", "the guide works as it stands", &[Gateway], guides::envoy_gateway),
    Story::of_llmd("serving", "answers are the model's, word by word", &[], serving::story),
    Story::of_llmd("canary", "requests are shared by weight, none is lost", &[Gateway], canary::story),
    Story::of_llmd("scale", "engines come and go by number, and by a stop", &[], scale::story),
    Story::of_llmd("autoscale", "an autoscaler follows the load", &[Metrics], scale::autoscaler),
    Story::of_llmd("helm-test", "a release's own tests pass, its notes are true", &[], helm_test::story),
    Story::of_llmd("charts-alone", "a router and its servers do without", &[], helm_test::charts_alone),
    Story::of_llmd("pools", "a route to a pool works on plain Envoy Gateway", &[Gateway], pools::story),
    Story::of_llmd("refusals", "wrong manifests are refused by name", &[], refusals::story),
    Story::of_llmd("upgrade", "an upgrade costs no request", &[], upgrade::story),
    Story::of_llmd("engine-dies", "a death ends its own streams", &[], faults::engine),
    Story::of_llmd("disaggregated-dies", "a death ends its side's streams", &[], disaggregated::pods_die),
    Story::of_llmd(
        "engines-crash",
        "a crash costs what it holds, at once",
        &[],
        disaggregated::engines_crash,
    ),
    Story::of_llmd("router-dies", "picker and controller come back", &[], faults::router),
    Story::of_llmd("control-plane-dies", "nobody who asks a model notices", &[], faults::control_plane),
    Story::of_llmd("cold-start", "pods are ready soon after their creation", &[], cold_start::story),
    Story::of_llmd("rights", "accounts may do what they do, and little else", &[Lws], rights::story),
    Story::of_llmd("uninstall", "services outlive the installation", &[], uninstall::story),
    Story::of_llmd("operators-page", "the page works as it stands", &[], guides::install),
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
    if options.needs {
        return exit_code(needs(&options).map(|()| true));
    }
    // One place for each sender: neither waits.
    let (events, event) = sync_channel(2);
    let stories = events.clone();
    std::thread::spawn(move || {
        // Said like an error: the main thread would wait for ever for one that panicked.
        let done = catch_unwind(|| run::run(&options)).unwrap_or_else(|_| Err(anyhow!("a story panicked")));
        // The main thread receives until the process ends.
        let _ = stories.send(Event::Ended(done));
    });
    std::thread::spawn(move || interrupted(&events));
    let code = match event.recv() {
        Ok(Event::Ended(done)) => exit_code(done),
        Ok(Event::Interrupted) => interrupt(&choice),
        Err(_) => ExitCode::FAILURE,
    };
    if let Choice::Kubeconfig(_) = choice {
        say_what_stays();
    }
    code
}

/// Prints what must be built for the stories.
fn needs(options: &Options) -> Result<()> {
    let stories = options.stories()?;
    if let Some(reason) = options.choice().reason_against() {
        bail!("no cluster here: {reason}");
    }
    if stories.iter().any(|it| it.of_llmd) {
        println!("images");
    }
    for addition in [Lws, Gateway, Metrics] {
        if stories.iter().any(|it| it.with.contains(&addition)) {
            println!("{}", addition.name());
        }
    }
    Ok(())
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

/// The cluster goes, whatever the stories are doing, and what they started.
fn interrupt(choice: &Choice) -> ExitCode {
    println!("interrupted: taking down what was brought up");
    beside::end_processes();
    match choice.clear().context("the cluster is not down") {
        Ok(()) => ExitCode::from(130),
        Err(error) => exit_code(Err(error)),
    }
}

/// In a cluster that stays, a story that did not come to its end leaves its namespaces.
fn say_what_stays() {
    for name in beside::namespaces() {
        eprintln!("namespace {name} stays: `kubectl delete namespace {name}` deletes it");
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
