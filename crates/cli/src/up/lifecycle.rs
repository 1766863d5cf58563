//! The life of one component as a state machine: what happened in, what to do next out.
//!
//! A component that has been ready is started again for as long as the stack lives, with growing pauses. One
//! that ends [`MAX_FIRST_STARTS`] times before it was ever ready, or refuses its command line, will not get better by
//! trying: the stack gives up. Pure: time comes in as an argument, processes and sockets are the business of `up/keeper.rs`.

use std::time::{Duration, Instant};

use llmd_common::backoff::Backoff;

use crate::state::ComponentState;
use crate::up::health::Health;
use crate::up::process::End;

/// Starts that may fail before the first success.
const MAX_FIRST_STARTS: u32 = 3;
/// Exit code of every program of the stack for a command line or configuration that it refuses.
const REFUSED: i32 = 2;
/// Serving for this long forgives earlier failures: the pauses start over.
const FORGIVEN_AFTER: Duration = Duration::from_secs(30);
/// Silence for this long means that a component hangs; a machine that is merely busy answers in between.
pub const HUNG_AFTER: Duration = Duration::from_secs(20);

/// Where a component stands.
#[derive(Debug)]
pub struct Lifecycle {
    state: ComponentState,
    reason: Option<String>,
    progress: Option<u8>,
    pid: Option<u32>,
    restarts: u32,
    failed_starts: u32,
    was_ever_ready: bool,
    ready_since: Option<Instant>,
    silent_since: Option<Instant>,
    backoff: Backoff,
}

/// What to do about a component that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterEnd {
    /// Start it again after a pause.
    RestartIn(Duration),
    /// It never was ready: the stack cannot come up.
    GiveUp,
    /// It was asked to end.
    Nothing,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self {
            state: ComponentState::Starting,
            reason: None,
            progress: None,
            pid: None,
            restarts: 0,
            failed_starts: 0,
            was_ever_ready: false,
            ready_since: None,
            silent_since: None,
            backoff: Backoff::new(Duration::from_millis(200), Duration::from_secs(10)),
        }
    }
}

impl Lifecycle {
    /// How the component is doing.
    #[must_use]
    pub const fn state(&self) -> ComponentState {
        self.state
    }

    /// Why it is not ready.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Percent of the model that is loaded, while loading.
    #[must_use]
    pub const fn progress(&self) -> Option<u8> {
        self.progress
    }

    /// Its process.
    #[must_use]
    pub const fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// Whether it has served.
    #[must_use]
    pub const fn was_ever_ready(&self) -> bool {
        self.was_ever_ready
    }

    /// How often it was started again.
    #[must_use]
    pub const fn restarts(&self) -> u32 {
        self.restarts
    }

    /// Whether the process has been silent for so long that only a new one can help. Everybody who waits for an
    /// answer from it waits until then.
    #[must_use]
    pub fn is_hung(&self, now: Instant) -> bool {
        self.silent_since.is_some_and(|since| now.duration_since(since) >= HUNG_AFTER)
    }

    /// A process runs.
    pub fn started(&mut self, pid: Option<u32>) {
        self.pid = pid;
        self.state = ComponentState::Starting;
        self.reason = Some("starting".to_owned());
        self.progress = None;
    }

    /// The health check answered.
    pub fn checked(&mut self, health: Health, now: Instant) {
        let silent_since = self.silent_since.take();
        match health {
            Health::Ready => {
                let since = *self.ready_since.get_or_insert(now);
                if now.duration_since(since) >= FORGIVEN_AFTER {
                    self.backoff.reset();
                }
                self.was_ever_ready = true;
                self.state = ComponentState::Ready;
                self.reason = None;
                self.progress = None;
            }
            Health::Loading { percent } => {
                self.not_ready(format!("loading model: {percent} %"), Some(percent));
            }
            Health::Silent { reason } => {
                self.silent_since = Some(silent_since.unwrap_or(now));
                self.not_ready(reason, None);
            }
            Health::NotReady { reason } => self.not_ready(reason, None),
        }
    }

    fn not_ready(&mut self, reason: String, progress: Option<u8>) {
        // Only a process that served since its start can fall from readiness.
        if self.ready_since.take().is_some() {
            self.state = ComponentState::Unready;
        }
        self.reason = Some(reason);
        self.progress = progress;
    }

    /// The process ended, or could not be started. `spread` in 0..1 keeps components that died together from
    /// starting together.
    pub fn ended(&mut self, end: &End, spread: f64) -> AfterEnd {
        self.pid = None;
        self.progress = None;
        self.ready_since = None;
        self.silent_since = None;
        if self.state == ComponentState::Stopping {
            self.state = ComponentState::Stopped;
            self.reason = None;
            return AfterEnd::Nothing;
        }
        self.reason = Some(end.how.clone());
        if !self.was_ever_ready {
            self.failed_starts += 1;
            if self.failed_starts >= MAX_FIRST_STARTS || end.code == Some(REFUSED) {
                self.state = ComponentState::Failed;
                return AfterEnd::GiveUp;
            }
        }
        self.state = ComponentState::Restarting;
        self.restarts += 1;
        AfterEnd::RestartIn(self.backoff.next_delay(spread))
    }

    /// The stack goes down. Without a process there is nothing to wait for.
    pub fn stopping(&mut self) {
        if self.state != ComponentState::Failed {
            let running = self.pid.is_some();
            self.state = if running { ComponentState::Stopping } else { ComponentState::Stopped };
            self.reason = None;
            self.progress = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(code: i32) -> End {
        End { how: format!("ended with exit code {code}"), code: Some(code) }
    }

    fn killed() -> End {
        End { how: "was killed (SIGKILL)".to_owned(), code: None }
    }

    fn not_ready(reason: &str) -> Health {
        Health::NotReady { reason: reason.to_owned() }
    }

    #[test]
    fn loads_serves_falls_and_serves_again() {
        let (mut it, now) = (Lifecycle::default(), Instant::now());
        it.started(Some(7));
        it.checked(Health::Loading { percent: 40 }, now);
        assert_eq!((it.state(), it.progress()), (ComponentState::Starting, Some(40)));
        assert_eq!(it.reason(), Some("loading model: 40 %"));
        it.checked(Health::Ready, now);
        assert_eq!((it.state(), it.reason(), it.progress()), (ComponentState::Ready, None, None));
        it.checked(not_ready("no step completes"), now);
        assert_eq!((it.state(), it.reason()), (ComponentState::Unready, Some("no step completes")));
        it.checked(not_ready("no step completes"), now);
        assert_eq!(it.state(), ComponentState::Unready);
        it.checked(Health::Ready, now);
        assert_eq!((it.state(), it.restarts()), (ComponentState::Ready, 0));
    }

    #[test]
    fn gives_up_on_a_component_that_was_never_ready() {
        let mut it = Lifecycle::default();
        let ends: Vec<_> = (0..MAX_FIRST_STARTS)
            .map(|_| {
                it.started(Some(7));
                it.ended(&exit(1), 0.0)
            })
            .collect();
        let pause = |millis| AfterEnd::RestartIn(Duration::from_millis(millis));
        assert_eq!(ends, [pause(200), pause(400), AfterEnd::GiveUp]);
        assert_eq!((it.state(), it.pid()), (ComponentState::Failed, None));
    }

    #[test]
    fn a_refused_command_line_is_final_at_the_first_start_only() {
        let mut it = Lifecycle::default();
        it.started(Some(7));
        assert_eq!(it.ended(&exit(2), 0.0), AfterEnd::GiveUp);

        let mut served = Lifecycle::default();
        served.started(Some(7));
        served.checked(Health::Ready, Instant::now());
        assert!(matches!(served.ended(&exit(2), 0.0), AfterEnd::RestartIn(_)));
    }

    #[test]
    fn restarts_for_ever_what_was_ready_once_and_forgives_in_time() {
        let (mut it, start) = (Lifecycle::default(), Instant::now());
        let mut serve = |seconds: u64| {
            it.started(Some(7));
            it.checked(Health::Ready, start);
            it.checked(Health::Ready, start + Duration::from_secs(seconds));
            it.ended(&killed(), 0.0)
        };
        let pauses: Vec<_> = (0..10).map(|_| serve(1)).collect();
        assert_eq!(pauses[9], AfterEnd::RestartIn(Duration::from_secs(10)));
        assert_eq!(serve(60), AfterEnd::RestartIn(Duration::from_millis(200)));
        assert_eq!(it.restarts(), 11);
    }

    #[test]
    fn hangs_after_unbroken_silence() {
        let (mut it, start) = (Lifecycle::default(), Instant::now());
        let silent = || Health::Silent { reason: "no answer".to_owned() };
        it.started(Some(7));
        it.checked(Health::Ready, start);
        it.checked(silent(), start);
        assert_eq!((it.state(), it.is_hung(start)), (ComponentState::Unready, false));
        it.checked(silent(), start + HUNG_AFTER);
        assert!(it.is_hung(start + HUNG_AFTER));

        it.checked(not_ready("draining"), start + HUNG_AFTER);
        it.checked(silent(), start + 2 * HUNG_AFTER);
        assert!(!it.is_hung(start + 2 * HUNG_AFTER), "an answer starts the count over");
        it.ended(&killed(), 0.0);
        assert!(!it.is_hung(start + 9 * HUNG_AFTER));
    }

    #[test]
    fn ends_when_asked() {
        let mut it = Lifecycle::default();
        it.started(Some(7));
        it.stopping();
        assert_eq!(it.state(), ComponentState::Stopping);
        assert_eq!(it.ended(&killed(), 0.0), AfterEnd::Nothing);
        assert_eq!(it.state(), ComponentState::Stopped);

        let mut between_starts = Lifecycle::default();
        between_starts.started(Some(7));
        between_starts.ended(&exit(1), 0.0);
        between_starts.stopping();
        assert_eq!(between_starts.state(), ComponentState::Stopped);
    }
}
