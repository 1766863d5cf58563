//! Requests that get no answer: each row of the error table, as a client sees it.

use hyper::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::server::{CHAT, COMPLETIONS, JSON, Reply, Server};

#[track_caller]
fn check(reply: &Reply, status: u16, kind: &str, param: &Value, part: &str) {
    let body = reply.json();
    assert_eq!(reply.status.as_u16(), status, "{body}");
    let error = body["error"].as_object().unwrap();
    assert_eq!(error.keys().collect::<Vec<_>>(), ["message", "type", "param", "code"]);
    assert_eq!(
        (&error["type"], &error["param"], &error["code"]),
        (&json!(kind), param, &json!(status)),
        "{body}"
    );
    assert!(error["message"].as_str().unwrap().contains(part), "{body}");
}

#[tokio::test]
async fn bodies_that_are_no_requests() {
    let server = Server::start(&[]).await;
    for (body, param, part) in [
        (&b"{"[..], Value::Null, "EOF"),
        (b"", Value::Null, "expected a JSON object"),
        (b"[1]", Value::Null, "expected a JSON object"),
        (b"{\"messages\":\"\xff\"}", Value::Null, "invalid utf-8"),
        (br#"{"messages":5}"#, json!("messages"), "expected a sequence"),
        (br#"{"prompt":"x"}"#, Value::Null, "missing field `messages`"),
        (br#"{"messages":[],"max_tokens":"many"}"#, json!("max_tokens"), "invalid type"),
        (br#"{"messages":[],"stream_options":7}"#, json!("stream_options"), "invalid type"),
    ] {
        check(&server.post_bytes(CHAT, body).await, 400, "Bad Request", &param, part);
    }
}

#[tokio::test]
async fn values_that_break_a_rule() {
    let server = Server::start(&[]).await;
    let messages = json!([{"role": "user", "content": "hi"}]);
    for (field, value, param) in [
        ("max_tokens", json!(-1), "max_tokens"),
        ("max_completion_tokens", json!(0), "max_completion_tokens"),
        ("temperature", json!(3), "temperature"),
        ("top_logprobs", json!(3), "top_logprobs"),
        ("stop", json!(["a", "b", "c", "d", "e"]), "stop"),
        ("stream_options", json!({"include_usage": true}), "stream_options"),
        ("tools", json!([]), "tools"),
        ("tool_choice", json!("auto"), "tool_choice"),
        ("messages", json!([]), "messages"),
        ("messages", json!([{"content": "no role"}]), "messages"),
        ("messages", json!([{"role": "user", "content": 5}]), "messages"),
        ("continue_final_message", json!(true), "continue_final_message"),
    ] {
        let mut body = json!({"messages": messages});
        body[field] = value;
        check(&server.post(CHAT, &body).await, 400, "BadRequestError", &json!(param), param);
    }
    for body in [json!({"prompt": []}), json!({"prompt": ""}), json!({"prompt": [[]]})] {
        let body = json!({"prompt": body["prompt"], "add_special_tokens": false});
        check(&server.post(COMPLETIONS, &body).await, 400, "BadRequestError", &json!("prompt"), "empty");
    }
    let crowd = json!({"prompt": ["a", "b"], "n": 1000, "temperature": 1});
    check(&server.post(COMPLETIONS, &crowd).await, 400, "BadRequestError", &json!("n"), "2000");
    let unknown = json!({"prompt": [5, 4000]});
    check(&server.post(COMPLETIONS, &unknown).await, 400, "BadRequestError", &json!("prompt"), "4000");
}

#[tokio::test]
async fn what_cannot_be_done_is_said() {
    let server = Server::start(&[]).await;
    let tool = json!({"type": "function", "function": {"name": "f"}});
    for (extra, param) in [
        (json!({"response_format": {"type": "json_object"}}), "response_format"),
        (json!({"guided_json": {}}), "guided_json"),
        (json!({"use_beam_search": true}), "use_beam_search"),
        (json!({"best_of": 3}), "best_of"),
        (json!({"tools": [tool], "tool_choice": "required"}), "tool_choice"),
        (json!({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}), "messages"),
    ] {
        let mut body = json!({"messages": [{"role": "user", "content": "hi"}]});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let reply = server.post(CHAT, &body).await;
        check(&reply, 400, "BadRequestError", &json!(param), "not supported");
    }
}

#[tokio::test]
async fn prompts_over_the_context() {
    let server = Server::start(&["--max-model-len", "32"]).await;
    let long = "word ".repeat(100);
    let reply = server.post(COMPLETIONS, &json!({"prompt": long})).await;
    check(&reply, 400, "BadRequestError", &json!("input_tokens"), "32 tokens");
    let huge = "x".repeat(10 << 20);
    let reply = server.post(CHAT, &json!({"messages": [{"role": "user", "content": huge}]})).await;
    check(&reply, 400, "BadRequestError", &json!("input_tokens"), "at least");
    let cut = json!({"prompt": long, "truncate_prompt_tokens": 8, "max_tokens": 1});
    assert_eq!(server.ask(COMPLETIONS, &cut).await["usage"]["prompt_tokens"], 8);
}

#[tokio::test]
async fn bodies_over_the_limit() {
    let server = Server::start(&["--max-body-bytes", "1k"]).await;
    let reply = server.post(COMPLETIONS, &json!({"prompt": "x".repeat(1000)})).await;
    check(&reply, 413, "Content Too Large", &Value::Null, "1000 bytes");
}

#[tokio::test]
async fn names_paths_methods_and_media_types() {
    let server = Server::start(&[]).await;
    let reply = server.post(CHAT, &json!({"model": "gpt-9", "messages": []})).await;
    check(&reply, 404, "NotFoundError", &json!("model"), "llmd-tiny, alias");
    check(&server.get("/v1/nothing").await, 404, "Not Found", &Value::Null, "/v1/nothing");
    check(&server.get(CHAT).await, 405, "Method Not Allowed", &Value::Null, "GET");
    check(
        &server.request(Method::DELETE, "/health", &[]).await,
        405,
        "Method Not Allowed",
        &Value::Null,
        "DELETE",
    );
    let plain = server.request(Method::POST, CHAT, &[("content-type", "text/plain")]).await;
    check(&plain, 400, "Bad Request", &Value::Null, "application/json");
    let reply = server
        .post(CHAT, &json!({"model": "", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}))
        .await;
    assert_eq!(reply.status, StatusCode::OK, "an empty name is the model");
    let charset = ("content-type", "application/json; charset=utf-8");
    let reply = server.send(Method::POST, "/tokenize", &[charset], r#"{"prompt":"a"}"#).await.unwrap();
    assert_eq!(reply.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_full_queue_is_said_at_once() {
    let server = Server::start(&["--max-num-seqs", "1", "--max-num-queued-reqs", "1"]).await;
    let endless = r#"{"prompt":"Prefill is","max_tokens":2000,"ignore_eos":true,"stream":true}"#;
    let running = server.send(Method::POST, COMPLETIONS, &[JSON], endless).await.unwrap();
    server.wait_for("vllm:num_requests_running", 1.0).await;
    let waiting = server.send(Method::POST, COMPLETIONS, &[JSON], endless).await.unwrap();
    server.wait_for("vllm:num_requests_waiting", 1.0).await;
    let reply = server.post(COMPLETIONS, &json!({"prompt": "one too many"})).await;
    check(&reply, 503, "Service Unavailable", &Value::Null, "full");
    assert_eq!(reply.headers[header::RETRY_AFTER], "1");
    assert_eq!(server.metric("vllm:admission_rejections_total").await, 1.0);
    drop((running, waiting));
    server.wait_for("vllm:num_requests_running", 0.0).await;
    server.wait_for("vllm:num_requests_waiting", 0.0).await;
    let reply = server.post(COMPLETIONS, &json!({"prompt": "again", "max_tokens": 1})).await;
    assert_eq!(reply.status, StatusCode::OK);
}
