//! The binary: exit codes, one line for what is wrong, signals.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::server::model_dir;

fn engine() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llmd-engine"));
    command.env_remove("VLLM_ADDITIONAL_ARGS").stdin(Stdio::null());
    command
}

fn serve(model: &str, flags: &[&str]) -> Output {
    engine().args(["serve", model, "--host", "127.0.0.1"]).args(flags).output().unwrap()
}

#[track_caller]
fn check_failure(output: &Output, code: i32, part: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(stderr.lines().last().unwrap().contains(part), "{stderr}");
}

#[test]
fn the_last_word_of_the_version_is_a_vllm_release() {
    let output = engine().arg("--version").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let word = text.lines().last().unwrap().split_whitespace().last().unwrap();
    let (major, minor) = word.split_once('.').unwrap();
    let minor: u32 = minor.split('.').next().unwrap().parse().unwrap();
    assert!(major == "0" && minor >= 22, "{text}");
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let model = model_dir();
    let model = model.to_str().unwrap();
    check_failure(&serve("/nowhere", &["--port", "0"]), 1, "there is no model folder /nowhere");
    check_failure(&serve(model, &["--kv-transfer-config", "{"]), 2, "--kv-transfer-config: not valid JSON");
    check_failure(&serve(model, &["-tp", "2"]), 2, "--tensor-parallel-size: not supported");
    check_failure(&serve(model, &["--port", "0", "--max-model-len", "1M"]), 1, "above the 2048 positions");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    check_failure(&serve(model, &["--port", &port]), 1, &format!("cannot listen on 127.0.0.1:{port}"));
}

/// A running engine, killed when the test ends.
struct Running {
    child: Child,
    address: String,
    log: BufReader<std::process::ChildStderr>,
}

impl Running {
    fn start() -> Self {
        let mut child = engine()
            .arg("serve")
            .arg(model_dir())
            .args(["--host", "127.0.0.1", "--port", "0", "--threads", "1", "--shutdown-timeout", "20"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let address = wait_for_line(&mut log, "address=");
        wait_for_line(&mut log, "serving");
        Self { child, address, log }
    }

    fn terminate(&self) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already, which is what most tests want.
        let _: Result<(), _> = self.child.kill();
        let _: Result<_, _> = self.child.wait();
    }
}

/// Reads the log up to a line with `mark` and returns the word behind it.
fn wait_for_line(log: &mut impl BufRead, mark: &str) -> String {
    let mut line = String::new();
    while !line.contains(mark) {
        line.clear();
        assert!(log.read_line(&mut line).unwrap() > 0, "the log ended before {mark:?}");
    }
    line.split(mark).nth(1).unwrap().split_whitespace().next().unwrap_or_default().to_owned()
}

#[test]
fn sigterm_lets_the_answer_end_and_exits_with_0() {
    use std::io::{Read, Write};
    let mut running = Running::start();
    let body = r#"{"prompt":"Prefill is","max_tokens":30,"temperature":0,"stream":true}"#;
    let mut stream = TcpStream::connect(&running.address).unwrap();
    write!(
        stream,
        "POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut first = [0; 64];
    stream.read_exact(&mut first).unwrap();
    running.terminate();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("data: [DONE]"), "{rest}");
    let deadline = Instant::now() + Duration::from_secs(20);
    let status = loop {
        if let Some(status) = running.child.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "the engine does not end");
        std::thread::sleep(Duration::from_millis(10));
    };
    let mut log = String::new();
    running.log.read_to_string(&mut log).unwrap();
    assert_eq!(status.code(), Some(0), "{log}");
}
