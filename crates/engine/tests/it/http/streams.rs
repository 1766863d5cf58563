//! Streams: framing, order of chunks, usage, and what happens when the reader goes away.

use http_body_util::BodyExt;
use hyper::Method;
use serde_json::{Value, json};

use super::server::{CHAT, COMPLETIONS, JSON, Server, streamed_text};

fn chat(extra: &Value) -> Value {
    let mut body = json!({"messages": [{"role": "user", "content": "What is prefill?"}], "temperature": 0, "stream": true});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn a_chat_stream_opens_grows_and_closes() {
    let server = Server::start(&[]).await;
    let body = chat(&json!({"max_tokens": 3, "stream_options": {"include_usage": true}}));
    let mut events = server.stream(CHAT, &body).await;
    let opening = events.remove(0);
    assert_eq!(opening["object"], "chat.completion.chunk");
    assert_eq!(
        opening["choices"],
        json!([{"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": null, "finish_reason": null}])
    );
    let usage = events.pop().unwrap();
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(
        (&usage["usage"]["prompt_tokens"], &usage["usage"]["completion_tokens"]),
        (&json!(13), &json!(3))
    );
    let last = &events.last().unwrap()["choices"][0];
    assert_eq!((&last["finish_reason"], &last["stop_reason"]), (&json!("length"), &Value::Null));
    for event in &events[..events.len() - 1] {
        let choice = event["choices"][0].as_object().unwrap();
        assert!(choice["delta"]["content"].as_str().is_some_and(|it| !it.is_empty()), "empty delta: {event}");
        assert_eq!(choice["finish_reason"], Value::Null);
        assert!(!choice.contains_key("stop_reason") && event.get("usage").is_none(), "unset field: {event}");
    }
    assert_eq!(streamed_text(&events, 0), "Prefill is the");
    let ids: Vec<_> = events.iter().map(|it| &it["id"]).collect();
    assert!(ids.iter().all(|it| **it == opening["id"]));
}

#[tokio::test]
async fn choices_of_a_stream_are_told_apart() {
    let server = Server::start(&[]).await;
    let sampled = json!({"n": 3, "seed": 3, "temperature": 2.0, "max_tokens": 10});
    let events = server.stream(CHAT, &chat(&sampled)).await;
    let mut whole = chat(&sampled);
    whole["stream"] = json!(false);
    let whole = server.ask(CHAT, &whole).await;
    for index in 0..3_u64 {
        let choice = &whole["choices"][usize::try_from(index).unwrap()];
        assert_eq!(streamed_text(&events, index), choice["message"]["content"].as_str().unwrap());
    }
}

#[tokio::test]
async fn usage_comes_with_every_chunk_on_request() {
    let server = Server::start(&["--enable-force-include-usage"]).await;
    let body = json!({
        "prompt": "Prefill is", "temperature": 0, "max_tokens": 3, "stream": true,
        "stream_options": {"continuous_usage_stats": true}
    });
    let events = server.stream(COMPLETIONS, &body).await;
    let counts: Vec<u64> =
        events.iter().map(|it| it["usage"]["completion_tokens"].as_u64().unwrap()).collect();
    assert!(counts.is_sorted() && counts.last() == Some(&3), "{counts:?}");
    assert_eq!(events.last().unwrap()["choices"], json!([]), "the server adds the last chunk itself");
}

#[tokio::test]
async fn token_ids_stream_beside_the_text() {
    let server = Server::start(&[]).await;
    let events = server.stream(CHAT, &chat(&json!({"max_tokens": 3, "return_token_ids": true}))).await;
    assert_eq!(events[0]["prompt_token_ids"].as_array().unwrap().len(), 13);
    let ids: Vec<Value> =
        events.iter().filter_map(|it| it["choices"][0]["token_ids"].as_array().cloned()).flatten().collect();
    assert_eq!(ids, [2029, 278, 267]);
}

#[tokio::test]
async fn a_stop_string_is_never_shown_in_part() {
    let server = Server::start(&[]).await;
    let events = server.stream(CHAT, &chat(&json!({"stop": "first phase of inf"}))).await;
    assert_eq!(streamed_text(&events, 0), "Prefill is the ");
    assert_eq!(events.last().unwrap()["choices"][0]["stop_reason"], "first phase of inf");
}

const ENDLESS: &str = r#"{"prompt":"Prefill is","max_tokens":2000,"ignore_eos":true,"stream":true}"#;

#[tokio::test]
async fn a_reader_that_leaves_a_stream_ends_the_sequence() {
    let server = Server::start(&[]).await;
    let response = server.send(Method::POST, COMPLETIONS, &[JSON], ENDLESS).await.unwrap();
    let mut body = response.into_body();
    body.frame().await.unwrap().unwrap();
    server.wait_for("vllm:num_requests_running", 1.0).await;
    drop(body);
    server.wait_for("vllm:num_requests_running", 0.0).await;
    assert_eq!(server.metric("vllm:kv_cache_usage_perc").await, 0.0);
    assert!(server.metric("vllm:generation_tokens_total").await < 1900.0, "it did not run to its end");
}

#[tokio::test]
async fn a_crowd_that_leaves_takes_its_blocks_along() {
    let server = Server::start(&["--max-num-seqs", "8", "--enable-server-load-tracking"]).await;
    let readers = (0..32_usize).map(async |number| {
        let response = server.send(Method::POST, COMPLETIONS, &[JSON], ENDLESS).await.unwrap();
        let mut body = response.into_body();
        // A quarter runs, the others leave the queue.
        for _ in 0..number % 4 * usize::from(number < 8) {
            body.frame().await.unwrap().unwrap();
        }
    });
    futures_util::future::join_all(readers).await;
    server.wait_for("vllm:num_requests_running", 0.0).await;
    server.wait_for("vllm:num_requests_waiting", 0.0).await;
    assert_eq!(server.metric("vllm:kv_cache_usage_perc").await, 0.0);
    assert_eq!(server.get("/load").await.json(), json!({"server_load": 0}));
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_ends_the_sequence() {
    let server = Server::start(&[]).await;
    let body = ENDLESS.replace("\"stream\":true", "\"n\":3");
    let asking = server.send(Method::POST, COMPLETIONS, &[JSON], body);
    tokio::select! {
        _ = asking => panic!("nobody waits that long"),
        () = server.wait_for("vllm:num_requests_running", 3.0) => {}
    }
    server.wait_for("vllm:num_requests_running", 0.0).await;
    assert_eq!(server.metric("vllm:kv_cache_usage_perc").await, 0.0);
    assert!(server.metric("vllm:generation_tokens_total").await < 5000.0, "they did not run to their end");
}
