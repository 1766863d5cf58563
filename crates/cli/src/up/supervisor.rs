//! The whole stack: starts every keeper, gathers what they report, ends them in order.
//!
//! Guarantees: `state.json` and the screen follow every change; on a signal the processes end in the order of a
//! request's way (gateway, picker, sidecars, engines), each stage after the one before, so that nothing loses its
//! upstream while it drains; a second signal ends everything at once.

use std::io;
use std::path::PathBuf;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::client;
use crate::state::dir::StateDir;
use crate::state::{self, ComponentState, Role, Stack, StackState};
use crate::up::keeper::{Assignment, Keeper, Report, Stop};
use crate::up::lifecycle::AfterEnd;
use crate::up::log_file::LogFile;
use crate::up::plan::Component;
use crate::up::view::View;

/// Reports under way from keepers to the supervisor; keepers wait when it is full.
const MAX_REPORTS: usize = 64;
/// Who ends together, in this order.
const STOP_STAGES: [&[Role]; 4] =
    [&[Role::Gateway], &[Role::Epp], &[Role::Sidecar], &[Role::Decode, Role::Prefill]];

/// Why the stack did not come up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Signals cannot be caught.
    #[error("cannot install signal handlers")]
    Signals(#[source] io::Error),
    /// A log cannot be written.
    #[error("cannot write {}", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A health check has no usable URL.
    #[error("cannot check the health of {name}")]
    Check {
        /// The component.
        name: String,
        /// Why.
        #[source]
        source: client::Error,
    },
    /// A component ended again and again without ever being ready.
    #[error("{name} cannot start: {cause} (log: {})", log_file.display())]
    GaveUp {
        /// The component.
        name: String,
        /// The line of its log that most likely says why, else how it ended.
        cause: String,
        /// Where to read more.
        log_file: PathBuf,
    },
}

/// What to run and where to tell about it.
#[derive(Debug)]
pub struct Supervisor {
    stack: Stack,
    dir: StateDir,
    view: View,
    stops: Vec<Stop>,
    failure: Option<Error>,
    /// The next stage of [`STOP_STAGES`] to be asked, once the stack goes down.
    stop_stage: Option<usize>,
    was_ready: bool,
}

impl Supervisor {
    /// A supervisor that fills in the components of `stack`.
    #[must_use]
    pub const fn new(stack: Stack, dir: StateDir, view: View) -> Self {
        Self { stack, dir, view, stops: Vec::new(), failure: None, stop_stage: None, was_ready: false }
    }

    /// Runs `plan` until a signal or until it cannot come up. Every process is gone when this returns.
    ///
    /// Must run on the main thread of a current-thread runtime (see `up/process.rs`).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn run(mut self, plan: Vec<Component>, launcher: PathBuf) -> Result<(), Error> {
        let mut signals = Signals::install().map_err(Error::Signals)?;
        let (sender, mut reports) = mpsc::channel(MAX_REPORTS);
        let mut keepers = JoinSet::new();
        for keeper in self.keepers(plan, &launcher, &sender)? {
            keepers.spawn(keeper.run());
        }
        drop(sender);
        self.show();
        loop {
            tokio::select! {
                biased;
                () = signals.next() => self.signalled(),
                report = reports.recv() => match report {
                    Some(report) => self.reported(report),
                    // Every keeper has ended.
                    None => break,
                },
            }
            self.advance_stop();
        }
        if keepers.join_all().await.len() != self.stack.components.len() {
            tracing::warn!("a keeper ended early");
        }
        self.failure.map_or(Ok(()), Err)
    }

    fn keepers(
        &mut self,
        plan: Vec<Component>,
        launcher: &std::path::Path,
        reports: &mpsc::Sender<Report>,
    ) -> Result<Vec<Keeper>, Error> {
        let now = Stop::default().now;
        let mut keepers = Vec::new();
        for (idx, plan) in plan.into_iter().enumerate() {
            let path = self.dir.log_file(&plan.name);
            let log = LogFile::create(path.clone()).map_err(|source| Error::Log { path, source })?;
            self.stack.components.push(not_started(&plan, &log));
            let stop = Stop { now: now.clone(), ..Stop::default() };
            self.stops.push(stop.clone());
            let name = plan.name.clone();
            let assignment = Assignment { idx, plan, log, launcher: launcher.to_owned() };
            let keeper = Keeper::new(assignment, reports.clone(), stop);
            keepers.push(keeper.map_err(|source| Error::Check { name, source })?);
        }
        Ok(keepers)
    }

    fn signalled(&mut self) {
        if self.stop_stage.is_none() {
            self.view.note("stopping (a second Ctrl-C stops at once)");
            self.begin_stop();
        } else {
            self.stops.iter().for_each(|it| it.now.cancel());
        }
    }

    fn begin_stop(&mut self) {
        if self.stop_stage.is_none() {
            self.stop_stage = Some(0);
            self.stops.iter().for_each(|it| it.no_restart.cancel());
            self.show();
        }
    }

    fn reported(&mut self, Report { idx, component, death }: Report) {
        if let Some(death) = &death {
            self.view.death(&component.name, death);
            if death.next == AfterEnd::GiveUp && self.failure.is_none() {
                self.failure = Some(Error::GaveUp {
                    name: component.name.clone(),
                    cause: death.cause().unwrap_or(&death.how).to_owned(),
                    log_file: component.log_file.clone(),
                });
                self.begin_stop();
            }
        }
        self.stack.components[idx] = component;
        self.show();
    }

    /// Asks the next stages to end while the ones before have ended.
    fn advance_stop(&mut self) {
        let Some(mut stage) = self.stop_stage else { return };
        while stage < STOP_STAGES.len() && self.has_ended(&STOP_STAGES[..stage]) {
            let components = self.stack.components.iter().zip(&self.stops);
            let asked = components.filter(|(it, _)| STOP_STAGES[stage].contains(&it.role));
            asked.for_each(|(_, stop)| stop.orderly.cancel());
            stage += 1;
        }
        self.stop_stage = Some(stage);
    }

    fn has_ended(&self, stages: &[&[Role]]) -> bool {
        let mut components = self.stack.components.iter();
        components.all(|it| {
            let ended = matches!(it.state, ComponentState::Stopped | ComponentState::Failed);
            ended || !stages.iter().any(|stage| stage.contains(&it.role))
        })
    }

    /// Brings the state file and the screen up to date.
    fn show(&mut self) {
        self.stack.state = match (self.stop_stage, self.stack.is_ready(), self.was_ready) {
            (Some(_), ..) => StackState::Stopping,
            (None, true, _) => StackState::Ready,
            (None, false, true) => StackState::Degraded,
            (None, false, false) => StackState::Starting,
        };
        self.was_ready |= self.stack.state == StackState::Ready;
        if let Err(error) = self.dir.write_state(&self.stack) {
            tracing::warn!(error = %llmd_common::report::Report(&error), "state not written");
        }
        self.view.update(&self.stack);
    }
}

fn not_started(plan: &Component, log: &LogFile) -> state::Component {
    state::Component {
        name: plan.name.clone(),
        role: plan.role,
        state: ComponentState::Starting,
        reason: None,
        progress: None,
        pid: None,
        restarts: 0,
        urls: plan.urls.clone(),
        log_file: log.path().to_owned(),
    }
}

/// The signals that mean: go down.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn install() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
