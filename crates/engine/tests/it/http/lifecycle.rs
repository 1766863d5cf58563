//! From the first probe to the last answer: loading, health, keys, ids, drain.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::{Method, StatusCode};
use llmd_api::vllm::version::COMPATIBLE_WITH;
use serde_json::json;

use super::server::{CHAT, COMPLETIONS, JSON, Server, config, events};

#[tokio::test]
async fn the_port_answers_before_the_model_is_loaded() {
    let config = config(&[]);
    let server = Server::listening(&config).await;
    let health = server.get("/health").await;
    assert_eq!(
        (health.status, health.text().as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "loading model: 0 %")
    );
    let reply = server.post(CHAT, &json!({"messages": []})).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(reply.json()["error"]["message"], "loading model: 0 %");
    for path in ["/v1/models", "/metrics"] {
        assert_eq!(server.get(path).await.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
    }
    server.server.app.report_loaded(0.456);
    assert_eq!(server.get("/health").await.text(), "loading model: 45 %");
    server.load(config).await;
    let health = server.get("/health").await;
    assert_eq!((health.status, health.text().as_str()), (StatusCode::OK, ""));
}

#[tokio::test]
async fn probes_and_versions() {
    let server = Server::start(&["--enable-server-load-tracking"]).await;
    assert_eq!(server.get("/ping").await.status, StatusCode::OK);
    assert_eq!(server.request(Method::POST, "/ping", &[]).await.status, StatusCode::OK);
    assert_eq!(server.get("/version").await.json(), json!({"version": COMPATIBLE_WITH}));
    assert_eq!(server.get("/load").await.json(), json!({"server_load": 0}));
    let endless = r#"{"prompt":"a","max_tokens":2000,"ignore_eos":true,"stream":true}"#;
    let running = server.send(Method::POST, COMPLETIONS, &[JSON], endless).await.unwrap();
    assert_eq!(server.get("/load").await.json(), json!({"server_load": 1}));
    drop(running);
    server.wait_for("vllm:num_requests_running", 0.0).await;
    assert_eq!(server.get("/load").await.json(), json!({"server_load": 0}));
}

#[tokio::test]
async fn a_dead_engine_is_unhealthy_and_refuses() {
    let config = config(&[]);
    let server = Server::listening(&config).await;
    server.load(config).await[0].shutdown().await;
    let health = server.get("/health").await;
    assert_eq!(health.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(health.text(), "the engine has stopped");
    let reply = server.post(COMPLETIONS, &json!({"prompt": "a"})).await;
    assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(reply.json()["error"]["type"], "InternalServerError");
}

#[tokio::test]
async fn a_step_that_does_not_end_is_unhealthy() {
    let server = Server::start(&["--stall-timeout", "0"]).await;
    assert_eq!(server.get("/health").await.status, StatusCode::OK, "nothing runs");
    let endless = r#"{"prompt":"a","max_tokens":2000,"ignore_eos":true,"stream":true}"#;
    let running = server.send(Method::POST, COMPLETIONS, &[JSON], endless).await.unwrap();
    server.wait_for("vllm:num_requests_running", 1.0).await;
    let health = server.get("/health").await;
    assert_eq!(health.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(health.text().starts_with("requests run, but no step has ended"), "{}", health.text());
    drop(running);
    server.wait_for("vllm:num_requests_running", 0.0).await;
    assert_eq!(server.get("/health").await.status, StatusCode::OK);
}

#[tokio::test]
async fn keys_guard_the_api_and_not_the_probes() {
    let server = Server::start(&["--api-key", "one", "two", "--root-path", "/llm"]).await;
    for (path, key, status) in [
        ("/v1/models", None, 401),
        ("/v1/models", Some("Bearer three"), 401),
        ("/v1/models", Some("Basic one"), 401),
        ("/v1/models", Some("Bearer one"), 200),
        ("/llm/v1/models", Some("bearer two"), 200),
        ("/llm/v1/models", None, 401),
        ("/health", None, 200),
        ("/llm/health", None, 200),
        ("/metrics", None, 200),
    ] {
        let headers: Vec<_> = key.map(|it| ("authorization", it)).into_iter().collect();
        let reply = server.request(Method::GET, path, &headers).await;
        assert_eq!(reply.status.as_u16(), status, "{path} {key:?}");
        if status == 401 {
            assert_eq!(reply.json(), json!({"error": "Unauthorized"}));
        }
    }
}

#[tokio::test]
async fn request_ids_are_echoed_on_request() {
    let server = Server::start(&["--enable-request-id-headers"]).await;
    let reply = server.request(Method::GET, "/version", &[("x-request-id", "abc")]).await;
    assert_eq!(reply.headers["x-request-id"], "abc");
    assert_eq!(server.get("/version").await.headers["x-request-id"].len(), 32);
}

const SHORT_STREAM: &str = r#"{"prompt":"Prefill is","max_tokens":30,"temperature":0,"stream":true}"#;

#[tokio::test]
async fn a_drain_lets_streams_end_and_takes_no_new_ones() {
    let server = Server::start(&[]).await;
    let response = server.send(Method::POST, COMPLETIONS, &[JSON], SHORT_STREAM).await.unwrap();
    let (is_clean, body) = tokio::join!(server.stop(Duration::from_secs(30)), response.into_body().collect());
    assert!(is_clean);
    let text = String::from_utf8(body.unwrap().to_bytes().to_vec()).unwrap();
    assert_eq!(events(&text).last().unwrap()["choices"][0]["finish_reason"], "length");
    assert!(server.send(Method::GET, "/health", &[], "").await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_drain_without_time_cuts_streams() {
    let config = config(&[]);
    let server = Server::listening(&config).await;
    let engine = server.load(config).await.remove(0);
    let endless = r#"{"prompt":"a","max_tokens":2000,"ignore_eos":true,"stream":true}"#;
    let mut body = server.send(Method::POST, COMPLETIONS, &[JSON], endless).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    assert!(!server.stop(Duration::ZERO).await);
    assert!(body.collect().await.is_err(), "the connection is reset");
    while engine.health().n_running() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
