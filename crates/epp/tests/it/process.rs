//! The binary: exit codes, one line on errors, drain on SIGTERM.

use std::process::{Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::engine::Engine;
use crate::http_client::{get, post};
use crate::stack::write_config;
use crate::within;

const FREE_PORTS: [&str; 5] =
    ["--host=127.0.0.1", "--grpc-port=0", "--grpc-health-port=0", "--metrics-port=0", "--proxy-port=0"];

fn command(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llmd-epp"));
    command.args(FREE_PORTS).args(flags).stderr(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    command
}

async fn run(flags: &[&str]) -> Output {
    within("end of the process", command(flags).output()).await.unwrap()
}

#[track_caller]
fn check_failure(output: &Output, code: i32, line_contains: &str) {
    let text = str::from_utf8(&output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{text}");
    let last = text.lines().last().unwrap_or_default();
    assert!(last.starts_with("llmd-epp: ") && last.contains(line_contains), "{text}");
}

#[tokio::test]
async fn a_start_that_cannot_work_ends_with_one_line() {
    check_failure(&run(&[]).await, 1, "nothing says where endpoints are: give --pool-name");
    check_failure(&run(&["--endpoint-selector=a=b"]).await, 2, "needs --endpoint-target-ports");
    check_failure(
        &run(&["--config-file=/nowhere.yaml"]).await,
        1,
        "cannot read --config-file /nowhere.yaml: No such file",
    );
    check_failure(&run(&["--config-text=nonsense: 1"]).await, 1, "--config-text");
    assert_eq!(run(&["--no-such-flag"]).await.status.code(), Some(2));
    assert_eq!(run(&["--version"]).await.status.code(), Some(0));
}

#[tokio::test]
async fn a_pool_needs_a_cluster() {
    let flags = ["--pool-name=pool", "--kubeconfig=/nowhere"];
    check_failure(&run(&flags).await, 1, "cannot use the kubeconfig /nowhere");
}

#[tokio::test]
async fn a_port_in_use_is_named_with_its_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap().into_std().unwrap();
    let folder = TempDir::new().unwrap();
    let config = write_config(&folder, &[]);
    let port = format!("--metrics-port={}", taken.local_addr().unwrap().port());
    check_failure(
        &run(&[&port, "--config-text", &config]).await,
        1,
        "(change it with --metrics-port): Address already in use",
    );
}

#[tokio::test]
async fn sigterm_lets_requests_in_flight_finish() {
    let engine = Engine::start().await;
    let folder = TempDir::new().unwrap();
    let config = write_config(&folder, &[engine.address]);
    let mut child = command(&["--config-text", &config, "--drain-timeout=10s"]).spawn().unwrap();
    let proxy = listening(&mut child, "the proxy").await;
    crate::eventually("readiness", async || get(proxy, "/health").await.status == 200).await;

    let body = r#"{"model":"llmd-tiny","prompt":"hi","stream":true}"#;
    engine.release(1);
    let mut answer = crate::http_client::start(proxy, http::Method::POST, "/v1/completions", &[], body).await;
    answer.next().await.unwrap();
    terminate(&child);
    tokio::time::sleep(Duration::from_millis(100)).await;
    engine.release(crate::engine::N_CHUNKS - 1);
    let mut rest = String::new();
    while let Some(piece) = answer.next().await {
        rest.push_str(&piece);
    }
    assert!(rest.ends_with("data: [DONE]\n\n"), "{rest}");
    drop(answer);
    let status = within("end of the process", child.wait()).await.unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn requests_that_outlive_the_drain_are_cut() {
    let engine = Engine::start().await;
    let folder = TempDir::new().unwrap();
    let config = write_config(&folder, &[engine.address]);
    let mut child = command(&["--config-text", &config, "--drain-timeout=100ms"]).spawn().unwrap();
    let proxy = listening(&mut child, "the proxy").await;
    let stuck = tokio::spawn(async move {
        post(proxy, "/v1/completions", &[], r#"{"model":"llmd-tiny","prompt":"hi","stream":true}"#).await
    });
    crate::eventually("request at the engine", async || engine.seen().len() == 1).await;
    terminate(&child);
    let status = within("end of the process", child.wait()).await.unwrap();
    assert_eq!(status.code(), Some(3));
    stuck.abort();
}

fn terminate(child: &Child) {
    let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
}

/// The address that the process logs for `what`. Keeps reading, so that the child never blocks on its log.
async fn listening(child: &mut Child, what: &str) -> std::net::SocketAddr {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let ending = format!("listening for {what} address=");
    let address = within("log line with the address", async {
        loop {
            let line = lines.next_line().await.unwrap().expect("the process serves");
            if let Some((_, address)) = line.split_once(&ending) {
                return address.parse().unwrap();
            }
        }
    })
    .await;
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    address
}
