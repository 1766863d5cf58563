//! Keepers and supervisor over small programs: Python's web server stands for anything with a health URL.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use llmd_cli::args::Environment;
use llmd_cli::state::dir::StateDir;
use llmd_cli::state::{
    Component as Status, ComponentState, Gateway, GatewayKind, Model, Role, Stack, StackState,
};
use llmd_cli::up::plan::{CommandLine, Component};
use llmd_cli::up::ports::FreePorts;
use llmd_cli::up::supervisor::{Error, Supervisor};
use llmd_cli::up::view::{Usage, View};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(20);
/// A signal reaches every supervisor of this process: one at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A component that runs `script`; its health URL is never served unless the script does so.
fn component(name: &str, role: Role, port: u16, script: &str) -> Component {
    Component {
        name: name.to_owned(),
        role,
        command: CommandLine {
            program: "sh".into(),
            args: vec!["-c".to_owned(), script.to_owned()],
            env: vec![("GREETING".to_owned(), "hello".to_owned())],
        },
        health_url: format!("http://127.0.0.1:{port}/"),
        urls: BTreeMap::new(),
    }
}

fn web_server(name: &str, role: Role, port: u16) -> Component {
    component(
        name,
        role,
        port,
        &format!("echo $GREETING; exec python3 -m http.server --bind 127.0.0.1 {port}"),
    )
}

fn free_port(seed: u32) -> u16 {
    FreePorts::new(std::process::id().wrapping_add(seed)).take().unwrap()
}

/// Runs `plan` on a thread of its own, which stands for the main thread of `llmd up`.
struct Running {
    temp: TempDir,
    _alone: MutexGuard<'static, ()>,
    thread: Option<std::thread::JoinHandle<Result<(), Error>>>,
}

impl Running {
    fn start(plan: Vec<Component>) -> Self {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let temp = tempfile::tempdir().unwrap();
        let dir = state_dir(temp.path());
        let screen = std::fs::File::create(temp.path().join("screen.txt")).unwrap();
        let thread = std::thread::spawn(move || {
            let _ownership = dir.own().unwrap();
            let stack = Stack {
                pid: Some(std::process::id()),
                model: Some(Model { name: "tiny".into(), path: "/m".into() }),
                gateway: Some(Gateway { kind: GatewayKind::Native, url: "http://127.0.0.1:1".into() }),
                ..Stack::stopped(dir.root().to_owned())
            };
            let supervisor = Supervisor::new(stack, dir, View::plain(Box::new(screen), Usage::default()));
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(supervisor.run(plan, env!("CARGO_BIN_EXE_llmd").into()))
        });
        Self { temp, _alone: alone, thread: Some(thread) }
    }

    fn status(&self) -> Stack {
        state_dir(self.temp.path()).read_state().unwrap()
    }

    fn wait_for(&self, what: &str, condition: impl Fn(&Stack) -> bool) -> Stack {
        let started = Instant::now();
        loop {
            let stack = self.status();
            if condition(&stack) {
                return stack;
            }
            assert!(started.elapsed() < DEADLINE, "{what} does not happen: {stack:#?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn screen(&self) -> String {
        std::fs::read_to_string(self.temp.path().join("screen.txt")).unwrap()
    }

    fn log(&self, name: &str) -> String {
        std::fs::read_to_string(state_dir(self.temp.path()).log_file(name)).unwrap()
    }

    fn end(&mut self) -> Result<(), Error> {
        self.thread.take().unwrap().join().unwrap()
    }
}

fn state_dir(root: &Path) -> StateDir {
    StateDir::resolve(Some(root.to_owned()), &Environment::default()).unwrap()
}

fn pid(component: &Status) -> Pid {
    Pid::from_raw(i32::try_from(component.pid.unwrap()).unwrap()).unwrap()
}

fn is_gone(pid: Pid) -> bool {
    rustix::process::test_kill_process(pid).is_err()
}

#[test]
fn comes_up_recovers_and_goes_down_in_order() {
    if std::process::Command::new("python3").arg("--version").output().is_err() {
        println!("skipped: no python3 here");
        return;
    }
    let (front, back) = (free_port(1), free_port(2));
    let mut running = Running::start(vec![
        web_server("front", Role::Gateway, front),
        web_server("back", Role::Decode, back),
    ]);
    let ready = running.wait_for("readiness", |it| it.state == StackState::Ready);
    assert_eq!(running.log("front").lines().next(), Some("hello"));

    // A killed component is started again and gets its address back; the other one is left alone.
    kill_process(pid(&ready.components[1]), Signal::KILL).unwrap();
    running.wait_for("the death", |it| it.state == StackState::Degraded);
    let again = running.wait_for("the recovery", |it| it.state == StackState::Ready);
    assert_eq!((again.components[1].restarts, again.components[0].restarts), (1, 0));
    assert_eq!(again.components[0].pid, ready.components[0].pid);

    // The signal of `llmd down`. The front ends while the back still serves, then the back.
    kill_process(rustix::process::getpid(), Signal::TERM).unwrap();
    running.end().unwrap();
    let screen = running.screen();
    assert!(screen.contains("tiny is served at http://127.0.0.1:1/v1"), "{screen}");
    assert!(screen.contains("back was killed (SIGKILL); starting it again in"), "{screen}");
    let order = ["front      stopping", "front      stopped", "back       stopping", "back       stopped"];
    let places: Vec<_> = order.iter().map(|line| screen.find(line).unwrap()).collect();
    assert!(places.is_sorted(), "{screen}");
    assert!(again.components.iter().all(|it| is_gone(pid(it))), "{again:#?}");
}

#[test]
fn gives_up_on_a_component_that_never_comes_up() {
    let script = "echo the reason; exit 3";
    let mut running = Running::start(vec![
        component("broken", Role::Prefill, free_port(3), script),
        component("sleeper", Role::Decode, free_port(4), "exec sleep 600"),
    ]);
    let seen =
        running.wait_for("the other component", |it| it.components.get(1).is_some_and(|it| it.pid.is_some()));
    let sleeper = pid(&seen.components[1]);
    assert_eq!(seen.components[1].state, ComponentState::Starting);
    let error = running.end().unwrap_err().to_string();
    assert!(error.starts_with("broken cannot start: the reason (log: /"), "{error}");
    assert_eq!(running.log("broken"), "the reason\n".repeat(3));
    let screen = running.screen();
    assert_eq!(screen.matches("broken ended with exit code 3; starting it again in ").count(), 2, "{screen}");
    assert_eq!(screen.matches("  | the reason\n").count(), 1, "{screen}");
    assert!(is_gone(sleeper));
}
