//! A real Envoy with the shipped configuration in front of the ext_proc service. Runs where an `envoy` is
//! found: in `ENVOY_BIN`, in `target/envoy/`, or on `PATH`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use http::Method;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::engine::{Engine, N_CHUNKS};
use crate::http_client::{check_concurrent_completions, get, post, start};
use crate::stack::Stack;

const TEMPLATE: &str = include_str!("../../../cli/src/up/envoy.yaml");
const PATH: &str = "/v1/completions";
const BODY: &str = r#"{"model":"llmd-tiny","prompt":"What is prefill?"}"#;

/// Added to the last cluster, which is ext_proc's: TLS whose certificate nobody checks.
const TLS: &str = r#"      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
          common_tls_context: { validation_context: {} }
"#;

struct Envoy {
    listener: SocketAddr,
    _process: Child,
    _folder: TempDir,
}

impl Envoy {
    async fn start(binary: &Path, ext_proc: SocketAddr, more_config: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let (config, admin) = (folder.path().join("envoy.yaml"), folder.path().join("admin"));
        let text = TEMPLATE
            .replace("{{listener_port}}", "0")
            .replace("{{admin_port}}", "0")
            .replace("{{ext_proc_port}}", &ext_proc.port().to_string());
        assert!(!text.contains("{{"), "every placeholder is filled");
        std::fs::write(&config, text + more_config).unwrap();
        let process = Command::new(binary)
            .arg("-c")
            .arg(&config)
            .args([
                "--use-dynamic-base-id",
                "--concurrency",
                "1",
                "--log-level",
                "warning",
                "--admin-address-path",
            ])
            .arg(&admin)
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut listener = None;
        crate::eventually("Envoy's listener", async || {
            let Ok(admin) = std::fs::read_to_string(&admin).unwrap_or_default().trim().parse() else {
                return false;
            };
            if get(admin, "/ready").await.status != 200 {
                return false;
            }
            let page = get(admin, "/listeners").await;
            listener = page.text().trim().split_once("::").and_then(|(_, address)| address.parse().ok());
            listener.is_some()
        })
        .await;
        Self { listener: listener.unwrap(), _process: process, _folder: folder }
    }
}

fn find() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "where the tests of a machine find their tools")]
    let (named, path) = (std::env::var("ENVOY_BIN").ok(), std::env::var("PATH").unwrap_or_default());
    let in_target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/envoy/envoy");
    let on_path = std::env::split_paths(&path).map(|it| it.join("envoy")).collect::<Vec<_>>();
    named.map(PathBuf::from).into_iter().chain([in_target]).chain(on_path).find(|it| it.is_file())
}

fn find_or_say_so() -> Option<PathBuf> {
    let found = find();
    if found.is_none() {
        #[expect(clippy::print_stderr, reason = "a test that did not run says so")]
        {
            eprintln!("skipped: no envoy");
        }
    }
    found
}

#[tokio::test]
async fn a_real_envoy_routes_by_the_picker() {
    let Some(binary) = find_or_say_so() else { return };
    let engine = Engine::start().await;
    let stack = Stack::start(&[&engine]).await;
    let envoy = Envoy::start(&binary, stack.addresses.grpc, "").await;

    whole_answer(&envoy, &engine).await;
    streamed_answer(&envoy, &engine).await;
    large_prompt(&envoy, &engine).await;
    without_a_body(&envoy).await;
    check_concurrent_completions(envoy.listener, 64).await;
    refusals(&envoy, &engine).await;
    client_leaves(&envoy, &engine).await;
    picker_is_gone(&envoy, &engine, stack).await;
}

#[tokio::test]
async fn a_real_envoy_speaks_tls_to_the_picker() {
    let Some(binary) = find_or_say_so() else { return };
    let engine = Engine::start().await;
    let stack = Stack::with_flags(&[engine.address], &[]).await;
    let envoy = Envoy::start(&binary, stack.addresses.grpc, TLS).await;
    whole_answer(&envoy, &engine).await;
}

async fn whole_answer(envoy: &Envoy, engine: &Engine) {
    let spoofed =
        [("x-gateway-destination-endpoint", "127.0.0.1:1"), ("x-prefiller-host-port", "127.0.0.1:1")];
    let answer = post(envoy.listener, PATH, &spoofed, BODY).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["choices"][0]["text"], "echo: What is prefill?");
    assert_eq!(answer.headers["x-went-into-resp-headers"], "true");
    let seen = engine.seen().pop().unwrap();
    assert_eq!(seen.body, BODY);
    assert_eq!(seen.header("x-gateway-destination-endpoint"), Some(engine.address.to_string().as_str()));
    assert_eq!(seen.header("x-prefiller-host-port"), None);
    assert!(seen.header("x-request-id").is_some());
}

async fn streamed_answer(envoy: &Envoy, engine: &Engine) {
    let body = BODY.replace('}', r#","stream":true}"#);
    engine.release(1);
    let mut answer = start(envoy.listener, Method::POST, PATH, &[], &body).await;
    assert!(answer.next().await.unwrap().contains(r#""text":"0""#), "the first chunk comes alone");
    engine.release(N_CHUNKS - 1);
    let mut rest = String::new();
    while let Some(piece) = answer.next().await {
        rest.push_str(&piece);
    }
    assert!(rest.ends_with("data: [DONE]\n\n"), "{rest}");
}

async fn large_prompt(envoy: &Envoy, engine: &Engine) {
    let body = format!(r#"{{"model":"llmd-tiny","prompt":"{}"}}"#, "prefill ".repeat(25_000));
    let answer = post(envoy.listener, PATH, &[], &body).await;
    assert!(engine.seen().pop().unwrap().body == body, "200 kB arrive as they were sent");
    let text = answer.json()["choices"][0]["text"].as_str().unwrap().len();
    assert_eq!(text, "echo: ".len() + 200_000, "and come back whole");
}

async fn without_a_body(envoy: &Envoy) {
    let answer = get(envoy.listener, "/v1/models").await;
    assert_eq!(answer.json()["data"][0]["id"], "llmd-tiny");
}

async fn refusals(envoy: &Envoy, engine: &Engine) {
    let n_seen = engine.seen().len();
    let answer = post(envoy.listener, PATH, &[], "{\"model\"").await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().starts_with("inference error: BadRequest - "), "{}", answer.text());
    assert_eq!(engine.seen().len(), n_seen, "nothing reached the engine");
}

async fn client_leaves(envoy: &Envoy, engine: &Engine) {
    let (body, n_aborted) = (BODY.replace('}', r#","stream":true}"#), engine.n_aborted());
    engine.release(1);
    let mut answer = start(envoy.listener, Method::POST, PATH, &[], &body).await;
    answer.next().await.unwrap();
    drop(answer);
    crate::eventually("abort at the engine", async || engine.n_aborted() == n_aborted + 1).await;
}

async fn picker_is_gone(envoy: &Envoy, engine: &Engine, stack: Stack) {
    drop(stack);
    let n_seen = engine.seen().len();
    let spoofed = [("x-gateway-destination-endpoint", engine.address.to_string())];
    let spoofed = [(spoofed[0].0, spoofed[0].1.as_str())];
    let answer = post(envoy.listener, PATH, &spoofed, BODY).await;
    assert!(answer.status.is_server_error(), "{}", answer.status);
    assert_eq!(engine.seen().len(), n_seen, "a spoofed destination is not honoured");
}
