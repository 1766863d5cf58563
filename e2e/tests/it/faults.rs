//! Processes die or stall under load: every request ends in the right answer or a clean error, and the stack recovers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use llmd_e2e::client::Client;
use llmd_e2e::golden::{self, Case};
use llmd_e2e::stack::{Stack, eventually};
use llmd_e2e::{metrics, process};
use tokio::task::JoinSet;

const MODEL: &str = "llmd-tiny";
const ENGINES: [&str; 3] = ["prefill-0", "decode-0", "decode-1"];
const CLIENTS: usize = 8;

/// Chats in closed loops until told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    right: Arc<AtomicUsize>,
    failed: Arc<AtomicUsize>,
    clients: JoinSet<Result<()>>,
}

impl Load {
    fn start(client: &Client, cases: &Arc<Vec<Case>>) -> Self {
        let mut load = Self {
            stop: Arc::default(),
            right: Arc::default(),
            failed: Arc::default(),
            clients: JoinSet::new(),
        };
        for idx in 0..CLIENTS {
            let (client, cases) = (client.clone(), Arc::clone(cases));
            let (stop, right, failed) =
                (Arc::clone(&load.stop), Arc::clone(&load.right), Arc::clone(&load.failed));
            load.clients.spawn(async move {
                for round in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let case = &cases[(idx + round * CLIENTS) % cases.len()];
                    match one_chat(&client, case).await? {
                        true => right.fetch_add(1, Ordering::Relaxed),
                        false => failed.fetch_add(1, Ordering::Relaxed),
                    };
                }
                Ok(())
            });
        }
        load
    }

    async fn finish(mut self) -> Result<(usize, usize)> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(client) = self.clients.join_next().await {
            client??;
        }
        Ok((self.right.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed)))
    }
}

/// Whether the chat was answered; a wrong answer or a silent wait is an error, a refusal is not.
async fn one_chat(client: &Client, case: &Case) -> Result<bool> {
    match client.chat(MODEL, &case.messages).await {
        Ok(reply) if reply.status.is_success() => {
            let json = reply.json()?;
            ensure!(json["choices"][0]["message"]["content"] == case.text, "wrong answer: {json}");
            Ok(true)
        }
        Ok(reply) => {
            ensure!(
                reply.status.as_u16() >= 500 || reply.status.as_u16() == 429,
                "{}: {}",
                reply.status,
                reply.text()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(false)
        }
        Err(error) => {
            // The gateway itself may be the victim: its connections break, which is a clean error too.
            ensure!(!format!("{error:#}").contains("no answer"), "hung: {error:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
            Ok(false)
        }
    }
}

/// Strikes `victim` under load and waits until the stack serves as before.
async fn strike_under_load(victim: &str, strike: fn(u32) -> Result<()>) -> Result<()> {
    let mut stack = Stack::up(&[]).await?;
    let client = stack.client().await?;
    let cases = Arc::new(golden::cases()?);
    let load = Load::start(&client, &cases);
    tokio::time::sleep(Duration::from_secs(1)).await;

    strike(stack.component_pid(victim).await?)?;
    eventually(Duration::from_secs(60), || async {
        let component = stack.component(victim).await?;
        ensure!(component["restarts"].as_u64() >= Some(1) && component["state"] == "ready", "{component}");
        Ok(())
    })
    .await
    .with_context(|| format!("{victim} does not come back"))?;
    stack.wait_ready().await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (right, failed) = load.finish().await?;
    println!("{victim} struck: {right} right answers, {failed} clean errors");
    ensure!(right > 0, "nothing was answered");

    for case in cases.iter() {
        let answer = client.chat_text(MODEL, &case.messages).await?;
        ensure!(answer == case.text, "after recovery {answer:?}");
    }
    ensure_nothing_leaks(&stack, &client, &cases).await
}

/// Every engine is idle with no block in use, and more traffic opens no more files.
async fn ensure_nothing_leaks(stack: &Stack, client: &Client, cases: &[Case]) -> Result<()> {
    eventually(Duration::from_secs(45), || async {
        for engine in ENGINES {
            let url = stack.url(engine, "http").await?;
            for gauge in [
                "vllm:num_requests_running",
                "vllm:num_requests_waiting",
                "vllm:kv_cache_usage_perc",
                "llmd:kv_transfer_leased_blocks",
            ] {
                let value = metrics::sum(&url, gauge, "").await?;
                ensure!(value == 0.0, "{engine}: {gauge} is {value}");
            }
        }
        Ok(())
    })
    .await?;
    let before = open_files(stack).await?;
    for case in cases {
        client.chat_text(MODEL, &case.messages).await?;
    }
    eventually(Duration::from_secs(10), || async {
        let now = open_files(stack).await?;
        // Connection pools may hold a few more than before; a leak grows with the number of requests.
        ensure!(now < before + cases.len(), "open files grew from {before} to {now}");
        Ok(())
    })
    .await
}

async fn open_files(stack: &Stack) -> Result<usize> {
    let status = stack.status().await?;
    let components = status["components"].as_array().context("status lists components")?;
    let pids = components.iter().filter_map(|it| u32::try_from(it["pid"].as_u64()?).ok());
    pids.map(process::n_open_files).sum()
}

#[tokio::test]
async fn the_prefill_engine_dies() -> Result<()> {
    strike_under_load("prefill-0", process::kill).await
}

#[tokio::test]
async fn a_decode_engine_dies() -> Result<()> {
    strike_under_load("decode-0", process::kill).await
}

#[tokio::test]
async fn a_sidecar_dies() -> Result<()> {
    strike_under_load("sidecar-0", process::kill).await
}

#[tokio::test]
async fn the_endpoint_picker_dies() -> Result<()> {
    strike_under_load("epp", process::kill).await
}

#[tokio::test]
async fn the_prefill_engine_stalls() -> Result<()> {
    strike_under_load("prefill-0", process::stall).await
}

#[tokio::test]
async fn a_decode_engine_stalls() -> Result<()> {
    strike_under_load("decode-0", process::stall).await
}

#[tokio::test]
async fn no_request_goes_to_a_decode_engine_that_stays_dead() -> Result<()> {
    let stack = Stack::up(&[]).await?;
    let client = stack.client().await?;
    // Nobody starts the engine again, and its sidecar lives on.
    process::stall(stack.pid()?)?;
    process::kill(stack.component_pid("decode-0").await?)?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    for case in golden::cases()? {
        let answer = client.chat_text(MODEL, &case.messages).await?;
        ensure!(answer == case.text, "answered {answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn hundreds_of_requests_open_no_more_files_than_a_few() -> Result<()> {
    let stack = Stack::up(&[]).await?;
    let client = stack.client().await?;
    let cases = Arc::new(golden::cases()?);
    let mut before = 0;
    for round in 0..3 {
        let load = Load::start(&client, &cases);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let (right, failed) = load.finish().await?;
        ensure!(right > 50 && failed == 0, "{right} right answers, {failed} errors");
        let now = open_files(&stack).await?;
        println!("{right} answers, {now} open files");
        ensure!(round == 0 || now <= before + 2 * CLIENTS, "open files grew from {before} to {now}");
        before = if round == 0 { now } else { before };
    }
    ensure_nothing_leaks(&stack, &client, &cases).await
}
