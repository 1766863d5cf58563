//! Prefill and decode on two servers, driven by `kv_transfer_params` as a sidecar drives them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::server::{CHAT, Server};

const FLAGS: [&str; 6] = [
    "--kv-transfer-config",
    r#"{"kv_connector":"NixlConnector","kv_role":"kv_both"}"#,
    "--nixl-side-channel-host=127.0.0.1",
    "--nixl-side-channel-port=0",
    "--enable-prompt-tokens-details",
    "--block-size=4",
];

fn chat(extra: &Value) -> Value {
    let mut body = json!({"messages": [{"role": "user", "content": "What is prefill?"}], "temperature": 0});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    body
}

async fn prefill(server: &Server) -> Value {
    let params = json!({
        "do_remote_decode": true, "do_remote_prefill": false, "remote_engine_id": null, "remote_block_ids": null,
        "remote_host": null, "remote_port": null
    });
    let answer = server
        .ask(CHAT, &chat(&json!({"max_tokens": 1, "stream": false, "kv_transfer_params": params})))
        .await;
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    answer["kv_transfer_params"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decode_engine_continues_what_a_prefill_engine_began() {
    let (producer, consumer) = (Server::start(&FLAGS).await, Server::start(&FLAGS).await);
    let alone = producer.ask(CHAT, &chat(&json!({}))).await;
    let params = prefill(&producer).await;
    assert_eq!(params["do_remote_prefill"], true);
    assert!(params["remote_port"].as_u64().is_some_and(|it| it > 0), "{params}");

    let answer = consumer.ask(CHAT, &chat(&json!({"kv_transfer_params": params}))).await;
    assert_eq!(answer["choices"][0]["message"], alone["choices"][0]["message"]);
    assert_eq!(answer["usage"]["prompt_tokens_details"]["cached_tokens"], 12, "all but the last token");
    assert_eq!(consumer.metric("vllm:request_prefill_kv_computed_tokens_sum").await, 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reference_that_leads_nowhere_is_recomputed() {
    let (producer, consumer) = (Server::start(&FLAGS).await, Server::start(&FLAGS).await);
    let mut params = prefill(&producer).await;
    params["remote_cap"] = json!("00000000000000000000000000000000");
    let alone = producer.ask(CHAT, &chat(&json!({}))).await;
    let answer = consumer.ask(CHAT, &chat(&json!({"kv_transfer_params": params}))).await;
    assert_eq!(answer["choices"][0]["message"], alone["choices"][0]["message"]);
    assert_eq!(answer["usage"]["prompt_tokens_details"]["cached_tokens"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_with_other_blocks_or_elements_is_refused_and_the_prompt_recomputed() {
    let producer = Server::start(&FLAGS).await;
    let alone = producer.ask(CHAT, &chat(&json!({}))).await;
    for other in ["--block-size=8", "--kv-cache-dtype=float32"] {
        let flags: Vec<&str> = FLAGS.into_iter().chain([other]).collect();
        let consumer = Server::start(&flags).await;
        let params = prefill(&producer).await;
        let answer = consumer.ask(CHAT, &chat(&json!({"kv_transfer_params": params}))).await;
        assert_eq!(answer["choices"][0]["message"], alone["choices"][0]["message"], "{other}");
        assert_eq!(answer["usage"]["prompt_tokens_details"]["cached_tokens"], 0, "{other}");
        let metrics = consumer.get("/metrics").await.text();
        let mismatches = metrics.lines().find(|it| it.contains(r#"reason="mismatch""#)).unwrap();
        assert!(mismatches.ends_with(" 1"), "{other}: {mismatches}");
    }
}

#[tokio::test]
async fn a_stop_string_in_the_prefill_legs_token_does_not_lose_the_blocks() {
    let server = Server::start(&FLAGS).await;
    let params = json!({"do_remote_decode": true});
    let free = chat(&json!({"max_tokens": 1, "kv_transfer_params": params}));
    let token = server.ask(CHAT, &free).await["choices"][0]["message"]["content"].clone();
    let stopped = chat(&json!({"max_tokens": 1, "stop": token, "kv_transfer_params": params}));
    let answer = server.ask(CHAT, &stopped).await;
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert_eq!(answer["kv_transfer_params"]["do_remote_prefill"], true, "{answer}");
}

#[tokio::test]
async fn streams_carry_the_parameters_in_their_last_chunk() {
    let server = Server::start(&FLAGS).await;
    let body =
        chat(&json!({"max_tokens": 1, "stream": true, "kv_transfer_params": {"do_remote_decode": true}}));
    let events = server.stream(CHAT, &body).await;
    let (last, before) = events.split_last().unwrap();
    assert_eq!(last["kv_transfer_params"]["do_remote_prefill"], true, "{last}");
    assert!(before.iter().all(|it| it.get("kv_transfer_params").is_none()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_decode_request_frees_the_producers_blocks() {
    let (producer, consumer) = (Server::start(&FLAGS).await, Server::start(&FLAGS).await);
    let params = prefill(&producer).await;
    producer.wait_for("llmd:kv_transfer_leased_blocks", 4.0).await;
    let refused = Instant::now();
    let reply = consumer.post(CHAT, &chat(&json!({"temperature": 9, "kv_transfer_params": params}))).await;
    assert_eq!(reply.status.as_u16(), 400);
    producer.wait_for("llmd:kv_transfer_leased_blocks", 0.0).await;
    assert!(refused.elapsed() < Duration::from_secs(20), "only the lease's end freed them");
}
