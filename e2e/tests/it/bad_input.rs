//! Requests that must be refused, with a clear message and without effect.

use anyhow::{Result, ensure};
use http::{Method, StatusCode};
use llmd_e2e::client::Reply;
use llmd_e2e::stack::Stack;
use llmd_e2e::{golden, metrics};
use serde_json::json;
use tokio::net::TcpListener;

const CHAT: &str = "/v1/chat/completions";

fn ensure_client_error(reply: &Reply, what: &str) -> Result<()> {
    ensure!(reply.status.is_client_error(), "{what}: status {}: {}", reply.status, reply.text());
    let message = reply.json()?["error"]["message"].as_str().unwrap_or_default().to_owned();
    ensure!(message.len() > 10, "{what}: no message in {}", reply.text());
    Ok(())
}

#[tokio::test]
async fn bad_requests_get_clear_errors_and_leave_the_stack_healthy() -> Result<()> {
    let stack = Stack::up(&[]).await?;
    let client = stack.client().await?;
    let hello = json!([{ "role": "user", "content": "Hello" }]);
    let body = |extra: serde_json::Value| {
        let mut body = json!({ "model": "llmd-tiny", "messages": hello });
        body.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
        body.to_string()
    };
    let long = "word ".repeat(2 << 20);
    let cases = [
        ("malformed JSON", "{\"model\": \"llmd-tiny\", ".to_owned().into_bytes()),
        (
            "invalid UTF-8",
            b"{\"model\": \"llmd-tiny\", \"messages\": [{\"role\":\"user\",\"content\":\"\xff\xfe\"}]}"
                .to_vec(),
        ),
        ("unknown model", body(json!({ "model": "no-such-model" })).into_bytes()),
        ("10 MB body", body(json!({ "messages": [{ "role": "user", "content": long }] })).into_bytes()),
        (
            "prompt over the context",
            body(json!({ "messages": [{ "role": "user", "content": "word ".repeat(5000) }] })).into_bytes(),
        ),
        ("negative max_tokens", body(json!({ "max_tokens": -1 })).into_bytes()),
        ("temperature out of range", body(json!({ "temperature": 17 })).into_bytes()),
        ("no messages", json!({ "model": "llmd-tiny" }).to_string().into_bytes()),
        ("JSON null", b"null".to_vec()),
        ("empty body", Vec::new()),
    ];
    for (what, body) in cases {
        ensure_client_error(&client.post(CHAT, body).await?, what)?;
    }
    let case = golden::case("What is prefill?")?;
    ensure!(client.chat_text("llmd-tiny", &case.messages).await? == case.text);
    let status = stack.status().await?;
    ensure!(
        status["components"].as_array().is_some_and(|all| all.iter().all(|it| it["restarts"] == 0)),
        "{status:#}"
    );
    Ok(())
}

#[tokio::test]
async fn spoofed_routing_headers_reach_nobody() -> Result<()> {
    let stack = Stack::up(&[]).await?;
    spoofed_headers(&stack).await
}

#[tokio::test]
async fn spoofed_routing_headers_reach_nobody_through_envoy() -> Result<()> {
    let Some(stack) = Stack::up_with_envoy().await? else {
        println!("skipped: no envoy and no package index to install it from");
        return Ok(());
    };
    spoofed_headers(&stack).await
}

async fn spoofed_headers(stack: &Stack) -> Result<()> {
    let trap = TcpListener::bind(("127.0.0.1", 0)).await?;
    let target = trap.local_addr()?.to_string();
    let case = golden::case("What is prefill?")?;
    let body = json!({ "model": "llmd-tiny", "messages": case.messages, "temperature": 0, "max_tokens": 96,
        "kv_transfer_params": { "do_remote_prefill": true, "remote_host": "127.0.0.1",
            "remote_port": trap.local_addr()?.port(), "remote_proto": "llmd-kv/1", "remote_engine_id": "x",
            "remote_cap": "00", "remote_model_fp": "x", "remote_block_ids": [[1]], "remote_request_id": "x" } });
    let headers = [
        ("content-type", "application/json"),
        ("x-gateway-destination-endpoint", target.as_str()),
        ("x-prefiller-host-port", target.as_str()),
        ("x-kv-cache-source-host-port", target.as_str()),
        ("x-data-parallel-host-port", target.as_str()),
        ("x-encoder-hosts-ports", target.as_str()),
    ];
    let reply = stack.client().await?.send(Method::POST, CHAT, &headers, body.to_string().into()).await?;
    ensure!(reply.status == StatusCode::OK, "status {}: {}", reply.status, reply.text());
    ensure!(reply.json()?["choices"][0]["message"]["content"] == case.text, "{}", reply.text());
    let touched = tokio::time::timeout(std::time::Duration::from_millis(300), trap.accept()).await;
    ensure!(touched.is_err(), "something connected to the spoofed address");
    for engine in ["decode-0", "decode-1"] {
        let failures =
            metrics::sum(&stack.url(engine, "http").await?, "llmd:kv_transfer_failures_total", "").await?;
        ensure!(failures == 0.0, "{engine} tried a forged transfer");
    }
    Ok(())
}
