//! Two data-parallel ranks of one engine process, each on a port of its own, behind a sidecar with a listener a rank.

use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use http::Method;
use llmd_e2e::client::Client;
use llmd_e2e::cluster::free_port;
use llmd_e2e::golden::{self, model_dir};
use llmd_e2e::metrics;
use llmd_e2e::stack::{eventually, program};
use serde_json::json;
use tokio::process::{Child, Command};

const READY: Duration = Duration::from_secs(120);
const CHAT: &str = "/v1/chat/completions";

/// The first of two ports in a row that were free a moment ago.
fn two_free_ports() -> Result<u16> {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let first =
        (0..100).filter_map(|_| free_port().ok()).find(|port| port.checked_add(1).is_some_and(is_free));
    first.context("no two free ports in a row")
}

fn start(name: &str, args: &[String]) -> Result<Child> {
    let mut command = Command::new(program(name)?);
    Ok(command.args(args).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn()?)
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

#[tokio::test]
async fn every_rank_has_its_port_its_metrics_and_the_same_answers() -> Result<()> {
    let (engine_port, sidecar_port, supervisor) = (two_free_ports()?, two_free_ports()?, free_port()?);
    let model = model_dir().display().to_string();
    let _engine = start(
        "llmd-engine",
        &[
            "serve".to_owned(),
            model,
            "--host=127.0.0.1".to_owned(),
            "--served-model-name=llmd-tiny".to_owned(),
            "--data-parallel-size=4".to_owned(),
            "--data-parallel-size-local=2".to_owned(),
            "--data-parallel-start-rank=2".to_owned(),
            "--data-parallel-multi-port-external-lb".to_owned(),
            format!("--port={engine_port}"),
            format!("--data-parallel-supervisor-port={supervisor}"),
        ],
    )?;
    let _sidecar = start(
        "llmd-sidecar",
        &[
            "--host=127.0.0.1".to_owned(),
            "--secure-proxy=false".to_owned(),
            "--data-parallel-size=2".to_owned(),
            format!("--port={sidecar_port}"),
            format!("--model-server-port={engine_port}"),
        ],
    )?;
    let supervisor = Client::new(&url(supervisor));
    eventually(READY, || async {
        let reply = supervisor.get("/readyz").await?;
        ensure!(reply.status == 200, "{}", reply.text());
        Ok(())
    })
    .await?;

    let case = golden::case("What is decode?")?;
    let ranks = [(0, 2), (1, 3)];
    for (n_asked, (idx, rank)) in ranks.into_iter().enumerate() {
        let listener = Client::new(&url(sidecar_port + idx));
        ensure!(listener.chat_text("llmd-tiny", &case.messages).await? == case.text, "rank {rank}");
        for (later, (idx, rank)) in ranks.into_iter().enumerate() {
            let label = format!("engine=\"{rank}\"");
            let finished =
                metrics::sum(&url(engine_port + idx), "vllm:request_success_total", &label).await?;
            let expected = if later <= n_asked { 1.0 } else { 0.0 };
            ensure!(finished == expected, "rank {rank} finished {finished}, not {expected}");
        }
    }

    // The first listener forwards to the rank that the routing layer names.
    let body = json!({ "model": "llmd-tiny", "messages": case.messages, "temperature": 0, "max_tokens": 96 });
    let second = format!(":{}", sidecar_port + 1);
    let headers = [("content-type", "application/json"), ("x-data-parallel-host-port", second.as_str())];
    let reply =
        Client::new(&url(sidecar_port)).send(Method::POST, CHAT, &headers, body.to_string().into()).await?;
    ensure!(reply.json()?["choices"][0]["message"]["content"] == case.text, "{}", reply.text());
    let finished = metrics::sum(&url(engine_port + 1), "vllm:request_success_total", "engine=\"3\"").await?;
    ensure!(finished == 2.0, "rank 3 finished {finished}");
    Ok(())
}
