//! What an operator sees and types: options, logs, status, chat, decisions and metrics.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use llmd_e2e::client::Client;
use llmd_e2e::golden::{self, Case};
use llmd_e2e::metrics;
use llmd_e2e::stack::{Stack, llmd};
use serde_json::Value;
use tokio::task::JoinSet;

const MODEL: &str = "llmd-tiny";

async fn ask_all(client: &Client, cases: &Arc<Vec<Case>>) -> Result<()> {
    let mut chats = JoinSet::new();
    for idx in 0..cases.len() {
        let (client, cases) = (client.clone(), Arc::clone(cases));
        chats.spawn(async move {
            let answer = client.chat_text(MODEL, &cases[idx].messages).await?;
            ensure!(answer == cases[idx].text, "{} answered {answer:?}", cases[idx].messages);
            Ok(())
        });
    }
    while let Some(result) = chats.join_next().await {
        result??;
    }
    Ok(())
}

#[tokio::test]
async fn every_engine_of_a_larger_stack_works() -> Result<()> {
    let stack = Stack::up(&["--prefill", "2", "--decode", "3"]).await?;
    ask_all(&stack.client().await?, &Arc::new(golden::cases()?)).await?;
    for engine in ["prefill-0", "prefill-1"] {
        let offers = stack.metric(engine, "llmd:kv_transfer_offers_total", "").await?;
        ensure!(offers >= 1.0, "{engine} made {offers} offers");
    }
    for engine in ["decode-0", "decode-1", "decode-2"] {
        let blocks = stack.metric(engine, "llmd:kv_transfer_blocks_total", "").await?;
        ensure!(blocks >= 1.0, "{engine} received {blocks} blocks");
        ensure!(
            stack.metric(engine, "llmd:kv_transfer_failures_total", "").await? == 0.0,
            "a pull has failed"
        );
    }
    Ok(())
}

#[tokio::test]
async fn without_prefill_engines_decode_engines_compute_their_prompts() -> Result<()> {
    let stack = Stack::up(&["--prefill", "0", "--decode", "1"]).await?;
    let case = golden::case("What is prefill?")?;
    ensure!(stack.client().await?.chat_text(MODEL, &case.messages).await? == case.text);
    let computed =
        stack.metric("decode-0", "vllm:prompt_tokens_by_source_total", "source=\"local_compute\"").await?;
    ensure!(computed == f64::from(u32::try_from(case.prompt_token_ids.len())?), "{computed} tokens computed");
    ensure!(stack.metric("decode-0", "llmd:kv_transfer_blocks_total", "").await? == 0.0);
    Ok(())
}

#[tokio::test]
async fn metrics_are_there_before_the_first_request() -> Result<()> {
    let stack = Stack::up(&["--decode", "1"]).await?;
    let engine = [
        "vllm:num_requests_running",
        "vllm:num_requests_waiting",
        "vllm:kv_cache_usage_perc",
        "vllm:prefix_cache_queries_total",
        "vllm:prefix_cache_hits_total",
        "vllm:num_preemptions_total",
        "vllm:prompt_tokens_total",
        "vllm:generation_tokens_total",
        "vllm:request_success_total",
        "vllm:time_to_first_token_seconds_count",
        "vllm:inter_token_latency_seconds_count",
        "vllm:e2e_request_latency_seconds_count",
        "llmd:kv_transfer_blocks_total",
        "llmd:kv_transfer_bytes_total",
        "llmd:kv_transfer_seconds_total",
        "llmd:kv_transfer_failures_total",
    ];
    let sidecar = ["llmd_sidecar_pd_requests_total", "llmd_sidecar_pd_inflight"];
    let picker = ["llm_d_epp_average_queue_size", "llm_d_epp_per_endpoint_queue_size"];
    for (component, names) in
        [("prefill-0", &engine[..]), ("decode-0", &engine[..]), ("sidecar-0", &sidecar), ("epp", &picker)]
    {
        let url = stack.url(component, "metrics").await?;
        let base = url.strip_suffix("/metrics").context("metrics are at /metrics")?;
        for name in names {
            let values = metrics::series(base, name).await?;
            ensure!(!values.is_empty(), "{component} has no {name}");
            ensure!(values.iter().all(|&it| it == 0.0), "{component}: {name} is {values:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn decisions_tell_every_verdict_and_score() -> Result<()> {
    let stack = Stack::up(&[]).await?;
    let case = golden::case("What is prefill?")?;
    let reply = stack.client().await?.chat(MODEL, &case.messages).await?;
    let id = reply.headers.get("x-request-id").context("a request id")?.to_str()?.to_owned();

    let url = stack.url("epp", "decisions").await?;
    let (base, path) = url.split_at(url.find("/debug").context("decisions are under /debug")?);
    let all = Client::new(base).get(path).await?.json()?;
    let decision = all["decisions"].as_array().and_then(|it| it.iter().find(|it| it["request_id"] == *id));
    let decision = decision.with_context(|| format!("no decision {id} in {all:#}"))?;
    ensure!(decision["candidates"].as_array().is_some_and(|it| it.len() == 3), "{decision:#}");
    let host_port = |url: String| url.trim_start_matches("http://").to_owned();
    let prefill = host_port(stack.url("prefill-0", "http").await?);
    ensure!(decision["set_headers"]["x-prefiller-host-port"] == *prefill, "{decision:#}");
    let pick = decision["destinations"][0].as_str().context("a destination")?;

    let decode = profile(decision, "decode")?;
    let verdicts = &decode["filters"][0]["verdicts"];
    ensure!(verdicts[&prefill] == "removed" && verdicts[pick] == "kept", "{verdicts:#}");
    for scorer in decode["scorers"].as_array().context("scorers")? {
        let weight = scorer["weight"].as_f64().context("a weight")?;
        let score = |kind: &str| scorer["scores"][pick][kind].as_f64().context("a score");
        ensure!((score("raw")? * weight - score("weighted")?).abs() < 1e-9, "{scorer:#}");
    }
    let verdicts = &profile(decision, "prefill")?["filters"][0]["verdicts"];
    ensure!(verdicts[&prefill] == "kept" && verdicts[pick] == "removed", "{verdicts:#}");
    Ok(())
}

fn profile<'a>(decision: &'a Value, name: &str) -> Result<&'a Value> {
    let profiles = decision["profiles"].as_array().context("profiles")?;
    profiles.iter().find(|it| it["name"] == name).with_context(|| format!("no profile {name}"))
}

#[tokio::test]
async fn chat_logs_and_status_in_the_terminal() -> Result<()> {
    let mut stack = Stack::up(&["--decode", "1"]).await?;
    let dir = stack.dir().to_string_lossy().into_owned();
    let status = stack.status().await?;
    let url = status["gateway"]["url"].as_str().context("a gateway")?;
    let case = golden::case("What is prefill?")?;
    ensure!(stack.printed().contains(&format!("curl -s {url}/v1/chat/completions")), "{}", stack.printed());

    let (answer, about, ok) = run(&["chat", "--url", url, "--temperature", "0", "What is prefill?"]).await?;
    ensure!(ok && answer == format!("{}\n", case.text), "{answer:?}");
    ensure!(about.contains("TTFT") && about.contains("tokens/s"), "{about:?}");
    let (answer, about, ok) = run(&["chat", "--url", url, "--model", "nobody", "Hello"]).await?;
    ensure!(!ok && answer.trim().is_empty() && about.contains("nobody"), "{about:?}");

    let (table, _, _) = run(&["status", "--dir", &dir]).await?;
    let (log, _, _) = run(&["logs", "-n", "1", "--dir", &dir]).await?;
    for component in status["components"].as_array().context("components")? {
        let name = component["name"].as_str().context("a name")?;
        ensure!(table.contains(name) && log.contains(name), "{name} is not in {table} or {log}");
        let file = component["log_file"].as_str().context("a log file")?;
        ensure!(std::fs::metadata(file)?.len() > 0, "{file} is empty");
    }
    let (_, error, ok) = run(&["logs", "nobody", "--dir", &dir]).await?;
    ensure!(!ok && error.contains("prefill-0"), "{error:?}");

    ensure!(run(&["down", "--dir", &dir]).await?.2);
    ensure!(stack.wait_ended().await?.success());
    let (log, _, ok) = run(&["logs", "epp", "--dir", &dir]).await?;
    ensure!(ok && log.contains("listening"), "the logs of a stopped stack are gone: {log:?}");
    let stopped = stack.status().await?;
    ensure!(stopped["state"] == "stopped" && stopped["components"] == serde_json::json!([]), "{stopped:#}");
    Ok(())
}

/// Standard output, standard error and whether it ended well.
async fn run(args: &[&str]) -> Result<(String, String, bool)> {
    let output = llmd(args).await?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok((text(output.stdout), text(output.stderr), output.status.success()))
}
