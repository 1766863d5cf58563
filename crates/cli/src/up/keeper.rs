//! One component, kept alive: the loop between its process, its health check and its [`Lifecycle`].

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::process::Child;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::client;
use crate::state::{self, ComponentState};
use crate::up::health::{Health, HealthCheck};
use crate::up::lifecycle::{AfterEnd, HUNG_AFTER, Lifecycle};
use crate::up::log_file::{LogFile, tail};
use crate::up::plan::Component;
use crate::up::process::{self, End};

/// Between health checks of a component that is not ready.
const CHECK_STARTING: Duration = Duration::from_millis(100);
/// Between health checks of a ready component.
const CHECK_READY: Duration = Duration::from_secs(1);
/// Between SIGTERM and SIGKILL: longer than any component drains.
const GRACE: Duration = Duration::from_secs(15);
/// Log lines shown when a component dies.
const N_LAST_LINES: usize = 8;

/// What a keeper tells the supervisor.
#[derive(Debug)]
pub struct Report {
    /// Which component, by its place in the plan.
    pub idx: usize,
    /// How it is doing now.
    pub component: state::Component,
    /// Set when it just died.
    pub death: Option<Death>,
}

/// An end that nobody asked for.
#[derive(Debug)]
pub struct Death {
    /// In words.
    pub how: String,
    /// Whether it has served before.
    pub has_served: bool,
    /// The end of what it printed since this start.
    pub last_lines: Vec<String>,
    /// What follows.
    pub next: AfterEnd,
}

impl Death {
    /// The line that most likely says why: a usage error as clap prints it, else the last one.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        let usage_error = self.last_lines.iter().find(|line| line.starts_with("error: "));
        let last = || self.last_lines.iter().rfind(|line| !line.trim().is_empty());
        usage_error.or_else(last).map(String::as_str)
    }
}

/// How a component is told to end.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// The stack goes down: what ends now is not started again.
    pub no_restart: CancellationToken,
    /// In order: SIGTERM, then SIGKILL after a grace.
    pub orderly: CancellationToken,
    /// At once: SIGKILL.
    pub now: CancellationToken,
}

/// Which component to keep, and with what.
#[derive(Debug)]
pub struct Assignment {
    /// Its place in the plan.
    pub idx: usize,
    /// What to run.
    pub plan: Component,
    /// Where its output goes.
    pub log: LogFile,
    /// The `llmd` that ties processes to this one.
    pub launcher: PathBuf,
}

/// Owner of one component.
#[derive(Debug)]
pub struct Keeper {
    assignment: Assignment,
    check: HealthCheck,
    life: Lifecycle,
    /// Bounded; a keeper waits when the supervisor is behind.
    reports: mpsc::Sender<Report>,
    stop: Stop,
    last_sent: Option<state::Component>,
}

impl Keeper {
    /// A keeper that has not started anything yet.
    ///
    /// # Errors
    /// When the health check has no usable URL.
    pub fn new(
        assignment: Assignment,
        reports: mpsc::Sender<Report>,
        stop: Stop,
    ) -> Result<Self, client::Error> {
        let check = HealthCheck::new(assignment.plan.health_url.clone())?;
        Ok(Self { assignment, check, life: Lifecycle::default(), reports, stop, last_sent: None })
    }

    /// Runs the component until it is stopped or given up.
    pub async fn run(mut self) {
        loop {
            let log_start = self.assignment.log.end();
            let end = match self.start() {
                Err(error) => End::not_started(&error),
                Ok(child) => self.watch(child).await,
            };
            // Components die together when the machine is short of something; their places spread the restarts.
            let spread = f64::from(u32::try_from(self.assignment.idx % 8).unwrap_or_default()) / 8.0;
            if self.stop.no_restart.is_cancelled() {
                self.life.stopping();
            }
            let next = self.life.ended(&end, spread);
            let death = match next {
                AfterEnd::Nothing => None,
                AfterEnd::RestartIn(_) | AfterEnd::GiveUp => Some(self.death(end.how, log_start, next)),
            };
            self.report(death).await;
            let AfterEnd::RestartIn(pause) = next else { return };
            tokio::select! {
                () = self.stop.no_restart.cancelled() => {
                    self.life.stopping();
                    self.report(None).await;
                    return;
                }
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn start(&self) -> io::Result<Child> {
        let Assignment { idx: _, plan, log, launcher } = &self.assignment;
        process::start(launcher, &plan.command, log)
    }

    /// Follows one process to its end; says how it ended.
    async fn watch(&mut self, mut child: Child) -> End {
        enum Happened {
            StopAsked,
            Ended(io::Result<ExitStatus>),
            Checked(Health),
        }
        self.life.started(child.id());
        self.report(None).await;
        loop {
            let pause = if self.life.state() == ComponentState::Ready { CHECK_READY } else { CHECK_STARTING };
            let check = async {
                tokio::time::sleep(pause).await;
                self.check.ask().await
            };
            let happened = tokio::select! {
                biased;
                () = self.stop.orderly.cancelled() => Happened::StopAsked,
                end = child.wait() => Happened::Ended(end),
                health = check => Happened::Checked(health),
            };
            match happened {
                Happened::Ended(end) => return End::of(&end),
                Happened::Checked(health) => {
                    let now = Instant::now();
                    self.life.checked(health, now);
                    if self.life.is_hung(now) {
                        return self.end_hung(child).await;
                    }
                    if let Err(error) = self.assignment.log.rotate_if_large() {
                        tracing::warn!(%error, log = %self.assignment.log.path().display(), "cannot start the log over");
                    }
                    self.report(None).await;
                }
                Happened::StopAsked => {
                    self.life.stopping();
                    self.report(None).await;
                    return End::of(&self.end(child).await);
                }
            }
        }
    }

    /// A process that hangs will not act on SIGTERM either.
    async fn end_hung(&self, mut child: Child) -> End {
        process::send(&child, Signal::KILL);
        let end = End::of(&child.wait().await);
        End { how: format!("gave no answer for {} s and {}", HUNG_AFTER.as_secs(), end.how), ..end }
    }

    async fn end(&self, mut child: Child) -> io::Result<ExitStatus> {
        process::send(&child, Signal::TERM);
        tokio::select! {
            biased;
            end = child.wait() => return end,
            () = self.stop.now.cancelled() => {}
            () = tokio::time::sleep(GRACE) => {}
        }
        process::send(&child, Signal::KILL);
        child.wait().await
    }

    fn death(&self, how: String, log_start: u64, next: AfterEnd) -> Death {
        let tail = tail(self.assignment.log.path(), log_start, N_LAST_LINES);
        let last_lines = tail.map(|(lines, _)| lines).unwrap_or_default();
        Death { how, has_served: self.life.was_ever_ready(), last_lines, next }
    }

    async fn report(&mut self, death: Option<Death>) {
        let component = state::Component {
            name: self.assignment.plan.name.clone(),
            role: self.assignment.plan.role,
            state: self.life.state(),
            reason: self.life.reason().map(str::to_owned),
            progress: self.life.progress(),
            pid: self.life.pid(),
            restarts: self.life.restarts(),
            urls: self.assignment.plan.urls.clone(),
            log_file: self.assignment.log.path().to_owned(),
        };
        if death.is_none() && self.last_sent.as_ref() == Some(&component) {
            return;
        }
        self.last_sent = Some(component.clone());
        let report = Report { idx: self.assignment.idx, component, death };
        // A supervisor that is gone has dropped this keeper's task as well: nobody is left to tell.
        let _ = self.reports.send(report).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_one_line() {
        let cause = |lines: &[&str]| {
            let last_lines = lines.iter().map(|&line| line.to_owned()).collect();
            let death = Death { how: String::new(), has_served: false, last_lines, next: AfterEnd::GiveUp };
            death.cause().map(str::to_owned)
        };
        assert_eq!(cause(&[]), None);
        assert_eq!(
            cause(&["starting", "llmd-engine: no such model", ""]).unwrap(),
            "llmd-engine: no such model"
        );
        let usage = ["error: unexpected argument '--x' found", "", "For more information, try '--help'."];
        assert_eq!(cause(&usage).unwrap(), usage[0]);
    }
}
