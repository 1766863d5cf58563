//! References to KV blocks that lead nowhere: the decode engine computes the prompt itself and the answer is right.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use http::Method;
use llmd_e2e::client::{Client, Reply};
use llmd_e2e::golden::{self, Case};
use llmd_e2e::process;
use llmd_e2e::relay::Relay;
use llmd_e2e::stack::{Stack, eventually};
use serde_json::{Value, json};

const CHAT: &str = "/v1/chat/completions";
const FAILURES: &str = "llmd:kv_transfer_failures_total";
const COMPUTED: (&str, &str) = ("vllm:prompt_tokens_by_source_total", "source=\"local_compute\"");

fn body(case: &Case, max_tokens: u32, params: &Value) -> String {
    json!({ "model": "llmd-tiny", "messages": case.messages, "temperature": 0, "max_tokens": max_tokens,
        "kv_transfer_params": params })
    .to_string()
}

/// The first leg, as a sidecar asks it: the reference to the blocks of the prompt.
async fn prefill(engine: &Client, case: &Case) -> Result<Value> {
    let params = json!({ "do_remote_decode": true, "do_remote_prefill": false });
    let reply = engine.post(CHAT, body(case, 1, &params)).await?;
    let params = reply.json()?["kv_transfer_params"].clone();
    ensure!(params["do_remote_prefill"] == true, "{}", reply.text());
    Ok(params)
}

/// The second leg; the answer must be the case's.
async fn decode(engine: &Client, case: &Case, params: &Value) -> Result<()> {
    ensure_text(&engine.post(CHAT, body(case, 96, params)).await?, case)
}

fn ensure_text(reply: &Reply, case: &Case) -> Result<()> {
    let json = reply.json()?;
    ensure!(json["choices"][0]["message"]["content"] == case.text, "{}: {json}", reply.status);
    Ok(())
}

#[tokio::test]
async fn a_prefill_engine_killed_before_the_pull_costs_time_and_nothing_else() -> Result<()> {
    let mut stack = Stack::up(&["--decode", "1"]).await?;
    let case = golden::case("What is prefill?")?;
    let pid = stack.component_pid("prefill-0").await?;
    let prefill = stack.url("prefill-0", "http").await?;
    let target = prefill.strip_prefix("http://").context("a plain URL")?;
    let relay = Relay::start(target, move || process::kill(pid).expect("it runs until now")).await?;

    let sidecar = Client::new(&stack.url("sidecar-0", "http").await?);
    let prefiller = relay.address.to_string();
    let headers = [("content-type", "application/json"), ("x-prefiller-host-port", prefiller.as_str())];
    let request = body(&case, 96, &Value::Null);
    ensure_text(&sidecar.send(Method::POST, CHAT, &headers, request.into()).await?, &case)?;
    ensure!(!process::is_running(pid), "the prefill engine was never asked");
    ensure!(stack.metric("decode-0", FAILURES, "reason=\"connection\"").await? == 1.0, "no pull has failed");
    let computed = stack.metric("decode-0", COMPUTED.0, COMPUTED.1).await?;
    ensure!(computed == f64::from(u32::try_from(case.prompt_token_ids.len())?), "computed {computed} tokens");

    eventually(Duration::from_secs(30), || async {
        let component = stack.component("prefill-0").await?;
        ensure!(component["restarts"] == 1 && component["state"] == "ready", "{component}");
        Ok(())
    })
    .await?;
    stack.wait_ready().await?;
    let case = golden::case("What is decode?")?;
    ensure!(stack.client().await?.chat_text("llmd-tiny", &case.messages).await? == case.text);
    Ok(())
}

#[tokio::test]
async fn a_reference_that_is_not_of_this_prompt_never_shows_another() -> Result<()> {
    let stack = Stack::up(&["--decode", "1"]).await?;
    let producer = Client::new(&stack.url("prefill-0", "http").await?);
    let consumer = Client::new(&stack.url("decode-0", "http").await?);
    let (mine, theirs) = (golden::case("What is TTFT?")?, golden::case("Tell me a joke")?);
    ensure!(
        mine.prompt_token_ids.len() == theirs.prompt_token_ids.len(),
        "lengths alone would tell them apart"
    );
    let nobody = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?.local_addr()?.port();

    let edits: [(&str, &[(&str, Value)]); 6] = [
        ("another prompt's reference", &[]),
        ("a guessed capability", &[("remote_cap", json!("00000000000000000000000000000000"))]),
        ("another engine's id", &[("remote_engine_id", json!("5c8e3f0e-0000-4000-8000-000000000000"))]),
        ("another model", &[("remote_model_fp", json!("0000000000000000"))]),
        ("a closed port", &[("remote_port", json!(nobody))]),
        ("block ids of somebody else", &[("remote_block_ids", json!([[4095]]))]),
    ];
    for (idx, (what, edits)) in edits.into_iter().enumerate() {
        let mut params = prefill(&producer, &theirs).await?;
        for (field, value) in edits {
            params[*field] = value.clone();
        }
        decode(&consumer, &mine, &params).await.context(what)?;
        let failures = stack.metric("decode-0", FAILURES, "").await?;
        println!("{what}: {failures} failures after {} references", idx + 1);
    }
    // A reference is good for one pull.
    let params = prefill(&producer, &mine).await?;
    decode(&consumer, &mine, &params).await?;
    decode(&consumer, &mine, &params).await?;
    ensure!(stack.metric("decode-0", FAILURES, "").await? >= 5.0, "forged references were not counted");
    Ok(())
}

#[tokio::test]
async fn an_expired_reference_is_recomputed() -> Result<()> {
    let stack = Stack::up(&["--decode", "1"]).await?;
    let producer = Client::new(&stack.url("prefill-0", "http").await?);
    let consumer = Client::new(&stack.url("decode-0", "http").await?);
    let case = golden::case("What is prefill?")?;
    let params = prefill(&producer, &case).await?;
    for (n_blocks, within) in [(1.0, Duration::from_secs(5)), (0.0, Duration::from_secs(60))] {
        eventually(within, || async {
            let leased = stack.metric("prefill-0", "llmd:kv_transfer_leased_blocks", "").await?;
            ensure!(leased == n_blocks, "{leased} blocks are leased");
            Ok(())
        })
        .await?;
    }
    decode(&consumer, &case, &params).await?;
    ensure!(stack.metric("decode-0", FAILURES, "").await? == 1.0, "no pull has failed");
    Ok(())
}
