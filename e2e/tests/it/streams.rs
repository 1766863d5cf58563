//! Streams through every hop: a client that leaves frees the engine, and a shutdown lets what runs end.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use llmd_e2e::client::{Client, Stream};
use llmd_e2e::process;
use llmd_e2e::stack::{Stack, eventually};
use serde_json::{Value, json};

const CHAT: &str = "/v1/chat/completions";
const DECODE_ENGINES: [&str; 2] = ["decode-0", "decode-1"];
const IDLE: [&str; 3] =
    ["vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc"];

/// A stream of exactly `max_tokens` tokens.
fn endless(question: &str, max_tokens: u32) -> Value {
    json!({ "model": "llmd-tiny", "messages": [{ "role": "user", "content": question }], "temperature": 0,
        "max_tokens": max_tokens, "ignore_eos": true, "stream": true })
}

/// A stream whose first events have arrived.
async fn begin(client: &Client, body: &Value) -> Result<(Stream, Bytes)> {
    let mut stream = client.stream(CHAT, body).await?;
    ensure!(stream.status.is_success(), "status {}", stream.status);
    let first = stream.next().await?.context("an empty stream")?;
    Ok((stream, first))
}

#[tokio::test]
async fn a_client_that_leaves_frees_the_decode_engine() -> Result<()> {
    leave_early(&Stack::up(&[]).await?).await
}

#[tokio::test]
async fn a_client_that_leaves_envoy_frees_the_decode_engine() -> Result<()> {
    let Some(stack) = Stack::up_with_envoy().await? else {
        println!("skipped: no envoy and no package index to install it from");
        return Ok(());
    };
    leave_early(&stack).await
}

async fn leave_early(stack: &Stack) -> Result<()> {
    const N_STREAMS: u32 = 6;
    const MAX_TOKENS: u32 = 1900;
    let client = stack.client().await?;
    for idx in 0..N_STREAMS {
        let stream = begin(&client, &endless(&format!("{idx}?"), MAX_TOKENS)).await?;
        drop(stream);
    }
    let mut generated = 0.0;
    for engine in DECODE_ENGINES {
        eventually(Duration::from_secs(10), || async {
            for gauge in IDLE {
                let value = stack.metric(engine, gauge, "").await?;
                ensure!(value == 0.0, "{engine}: {gauge} is {value}");
            }
            Ok(())
        })
        .await?;
        generated += stack.metric(engine, "vllm:generation_tokens_total", "").await?;
    }
    println!("{generated} tokens were generated for clients that had left");
    ensure!(generated < f64::from(N_STREAMS * MAX_TOKENS) / 2.0, "streams ran on to their end");
    Ok(())
}

#[tokio::test]
async fn sigterm_lets_streams_end() -> Result<()> {
    let mut stack = Stack::up(&[]).await?;
    let client = stack.client().await?;
    let questions = ["What is prefill?", "What is decode?", "Count to ten", "Hello"];
    let mut expected = Vec::new();
    for question in questions {
        let (stream, first) = begin(&client, &endless(question, 500)).await?;
        expected.push(stream.chat_text(first).await?);
    }
    let mut streams = Vec::new();
    for question in questions {
        streams.push(begin(&client, &endless(question, 500)).await?);
    }
    process::terminate(stack.pid()?)?;
    for ((stream, first), expected) in streams.into_iter().zip(expected) {
        let text = stream.chat_text(first).await?;
        ensure!(text == expected, "{text:?} instead of {expected:?}");
    }
    ensure!(stack.wait_ended().await?.success(), "{}", stack.printed());
    Ok(())
}

#[tokio::test]
async fn a_full_queue_is_refused_at_once() -> Result<()> {
    let flags =
        ["--prefill", "0", "--decode", "1", "--", "--max-num-seqs", "1", "--max-num-queued-reqs", "2"];
    let stack = Stack::up(&flags).await?;
    let client = stack.client().await?;
    let (running, _) = begin(&client, &endless("Count", 1900)).await?;
    let mut waiting = tokio::task::JoinSet::new();
    for idx in 0..12 {
        let client = client.clone();
        waiting.spawn(async move {
            client.chat("llmd-tiny", &json!([{ "role": "user", "content": idx.to_string() }])).await
        });
    }
    let mut refused = 0;
    while refused < 8 {
        let reply = waiting.join_next().await.context("everything was accepted")???;
        if reply.status.is_success() {
            continue;
        }
        ensure!(reply.status.as_u16() == 503, "{}: {}", reply.status, reply.text());
        let message = reply.json()?["error"]["message"].as_str().unwrap_or_default().to_owned();
        ensure!(message.len() > 10, "{}", reply.text());
        refused += 1;
    }
    drop(running);
    while let Some(reply) = waiting.join_next().await {
        let reply = reply??;
        ensure!(
            reply.status.is_success() || reply.status.as_u16() == 503,
            "{}: {}",
            reply.status,
            reply.text()
        );
    }
    ensure!(client.chat_text("llmd-tiny", &json!([{ "role": "user", "content": "Hello" }])).await?.len() > 1);
    Ok(())
}
