use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::{
    FakeEngine, Running, Seen, call, complete, config, eventually, json, run, send, sidecar,
};

const READY: &str = r#"{"kv_transfer_params":{"a":1}}"#;

#[tokio::test]
async fn a_drain_finishes_what_runs_and_accepts_nothing_new() {
    let (release, released) = tokio::sync::watch::channel(false);
    let engine = FakeEngine::start(move |_, _| {
        let mut released = released.clone();
        let body = futures_util::stream::once(async move {
            released.wait_for(|it| *it).await.unwrap();
            Ok::<_, std::io::Error>("the end")
        });
        axum::response::Response::new(axum::body::Body::from_stream(body))
    })
    .await;
    let mut sidecar = sidecar(engine.address, &[]).await;
    let response = send(sidecar.address, "GET", "/slow", &[], "").await;
    sidecar.shutdown.draining().cancel();
    let address = sidecar.address;
    let mut is_closed = false;
    for _ in 0..200 {
        is_closed = tokio::net::TcpStream::connect(address).await.is_err();
        if is_closed {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(is_closed, "the listener closes");
    release.send(true).unwrap();
    let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    assert_eq!(body, "the end");
    let clean = tokio::time::timeout(Duration::from_secs(10), &mut sidecar.done).await.unwrap().unwrap();
    assert!(clean.unwrap(), "the drain is clean");
}

#[tokio::test]
async fn a_drain_ends_at_its_deadline() {
    let engine = FakeEngine::start(|_, _| {
        let body = futures_util::stream::pending::<Result<&str, std::io::Error>>();
        axum::response::Response::new(axum::body::Body::from_stream(body))
    })
    .await;
    let mut sidecar = sidecar(engine.address, &["--shutdown-timeout=50ms"]).await;
    let response = send(sidecar.address, "GET", "/endless", &[], "").await;
    sidecar.shutdown.draining().cancel();
    let clean = tokio::time::timeout(Duration::from_secs(10), &mut sidecar.done).await.unwrap().unwrap();
    assert!(!clean.unwrap(), "something was cut off");
    assert!(http_body_util::BodyExt::collect(response.into_body()).await.is_err());
}

/// A sidecar with its admin server on a free port, which no flag can ask for.
async fn sidecar_with_admin(engine: SocketAddr) -> (Running, SocketAddr) {
    let mut config = config(engine, &["--secure-proxy=false"]);
    config.metrics_port = Some(0);
    let sidecar = run(config).await;
    let admin = sidecar.admin.unwrap();
    (sidecar, admin)
}

#[tokio::test]
async fn metrics_tell_how_requests_ended() {
    let prefill = FakeEngine::start(|_, index| match index {
        0 => json(200, READY),
        1 => json(200, "{}"),
        _ => json(404, "no"),
    })
    .await;
    // An answer without a body is an answer too.
    let empty = || axum::response::Response::builder().status(204).body(axum::body::Body::empty()).unwrap();
    let without_params = |seen: &Seen| seen.text().contains("null");
    let answer = move |seen: &Seen, _| if without_params(seen) { empty() } else { json(200, "{}") };
    let decode = FakeEngine::start(answer).await;
    let (sidecar, admin) = sidecar_with_admin(decode.address).await;
    for _ in 0..3 {
        complete(sidecar.address, &prefill.address.to_string(), "{}").await;
    }
    let text = call(admin, "GET", "/metrics", &[], "").await.text().to_owned();
    for line in [
        r#"llmd_sidecar_pd_requests_total{connector="nixlv2",outcome="completed"} 2"#,
        r#"llmd_sidecar_pd_requests_total{connector="nixlv2",outcome="prefill_failed"} 1"#,
        r#"llmd_sidecar_pd_requests_total{connector="nixlv2",outcome="cancelled"} 0"#,
        "llmd_sidecar_pd_inflight 0",
        "llmd_sidecar_pd_kv_params_missing_total 1",
        "llmd_sidecar_pd_retries_total 0",
        "llmd_sidecar_pd_prefill_seconds_count 3",
        "llmd_sidecar_pd_decode_ttft_seconds_count 1",
        "llmd_sidecar_pd_overhead_seconds_count 2",
    ] {
        assert!(text.lines().any(|it| it == line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_is_counted_and_nothing_stays_in_flight() {
    let prefill = FakeEngine::json(READY).await;
    let decode = FakeEngine::start(|_, _| {
        let events = futures_util::stream::iter([Ok::<_, std::io::Error>("data: 1\n\n")]);
        let body = futures_util::StreamExt::chain(events, futures_util::stream::pending());
        axum::response::Response::new(axum::body::Body::from_stream(body))
    })
    .await;
    let (sidecar, admin) = sidecar_with_admin(decode.address).await;
    let target = prefill.address.to_string();
    let headers = [("x-prefiller-host-port", target.as_str())];
    drop(send(sidecar.address, "POST", "/v1/completions", &headers, "{}").await);
    let expected = [
        r#"llmd_sidecar_pd_requests_total{connector="nixlv2",outcome="cancelled"} 1"#,
        "llmd_sidecar_pd_inflight 0",
    ];
    for _ in 0..500 {
        let text = call(admin, "GET", "/metrics", &[], "").await.text().to_owned();
        if expected.iter().all(|it| text.lines().any(|line| line == *it)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{}", call(admin, "GET", "/metrics", &[], "").await.text());
}

#[tokio::test]
async fn readiness_is_the_engines_health() {
    let is_healthy = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let health = std::sync::Arc::clone(&is_healthy);
    let engine = FakeEngine::start(move |_, _| {
        json(if health.load(std::sync::atomic::Ordering::Relaxed) { 200 } else { 503 }, "")
    })
    .await;
    let (_sidecar, admin) = sidecar_with_admin(engine.address).await;
    for (healthy, status) in [(true, 200), (false, 503)] {
        is_healthy.store(healthy, std::sync::atomic::Ordering::Relaxed);
        for _ in 0..500 {
            if call(admin, "GET", "/readyz", &[], "").await.status == status {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(call(admin, "GET", "/readyz", &[], "").await.status, status);
    }
    assert_eq!(call(admin, "GET", "/livez", &[], "").await.status, 200);
}

fn binary(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llmd-sidecar"));
    command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn wrong_settings_end_the_process_with_one_line() {
    for (args, message) in [
        (&["--kv-connector=sglang"][..], "llmd-sidecar: not supported: --kv-connector"),
        (&["--port=eight"], "llmd-sidecar: invalid value 'eight' for '--port <PORT>'"),
        (&["--what"], "llmd-sidecar: unexpected argument '--what' found"),
        (
            &["--cert-path=/nowhere", "--port=0"],
            "llmd-sidecar: cannot serve TLS: cannot read /nowhere/tls.crt",
        ),
    ] {
        let output = binary(args).output().unwrap();
        assert!(output.status.code().is_some_and(|it| it != 0), "{args:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.starts_with(message) && text.lines().count() == 1, "{args:?}: {text}");
    }
}

#[tokio::test]
async fn sigterm_ends_the_process_cleanly() {
    let mut child = binary(&["--host=127.0.0.1", "--port=0"]).spawn().unwrap();
    // The first log line says that the listener is up and the signal handlers follow at once.
    let mut log = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut log, &mut line).unwrap();
    assert!(line.contains("listening"), "{line}");
    tokio::time::sleep(Duration::from_millis(100)).await;
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let mut status = None;
    eventually("the process ends", || {
        status = child.try_wait().unwrap();
        status.is_some()
    })
    .await;
    assert_eq!(status.unwrap().code(), Some(0));
}
