//! The native proxy between real HTTP clients and model servers.

use http::Method;
use http_body_util::BodyExt;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::engine::{DeadEndpoint, Engine, N_CHUNKS};
use crate::http_client::{check_concurrent_completions, get, post, start};
use crate::stack::Stack;
use crate::within;

const PATH: &str = "/v1/completions";
const BODY: &str = r#"{"model":"llmd-tiny","prompt":"What is prefill?"}"#;
const STREAM: &str = r#"{"model":"llmd-tiny","prompt":"What is prefill?","stream":true}"#;

#[tokio::test]
async fn a_completion_goes_through_unchanged_but_for_routing() {
    let engine = Engine::start().await;
    let stack = Stack::start(&[&engine]).await;
    let spoofed = [
        ("x-gateway-destination-endpoint", "127.0.0.1:1"),
        ("x-prefiller-host-port", "127.0.0.1:1"),
        ("x-data-parallel-host-port", "127.0.0.1:1"),
        ("x-llm-d-inference-objective", "gold"),
        ("x-request-id", "mine"),
        ("authorization", "Bearer token"),
        ("te", "trailers"),
    ];
    let answer = post(stack.proxy(), PATH, &spoofed, BODY).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["choices"][0]["text"], "echo: What is prefill?");
    assert_eq!(answer.headers["x-request-id"], "mine");
    assert_eq!(answer.headers["content-type"], "application/json");

    let seen = &engine.seen()[0];
    assert_eq!(seen.body, BODY);
    assert_eq!(seen.header("x-request-id"), Some("mine"));
    assert_eq!(seen.header("authorization"), Some("Bearer token"));
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("content-length"), Some(BODY.len().to_string().as_str()));
    for name in ["x-prefiller-host-port", "x-data-parallel-host-port", "x-llm-d-inference-objective", "te"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    assert_ne!(seen.header("x-gateway-destination-endpoint"), Some("127.0.0.1:1"));
}

#[tokio::test]
async fn many_requests_at_once_get_their_own_answers() {
    let (first, second) = (Engine::start().await, Engine::start().await);
    let stack = Stack::start(&[&first, &second]).await;
    check_concurrent_completions(stack.proxy(), 64).await;
    assert_eq!(first.seen().len() + second.seen().len(), 64);
}

#[tokio::test]
async fn a_streamed_answer_arrives_while_it_is_made() {
    let engine = Engine::start().await;
    let stack = Stack::start(&[&engine]).await;
    engine.release(1);
    let mut answer = start(stack.proxy(), Method::POST, PATH, &[], STREAM).await;
    assert_eq!(answer.headers["content-type"], "text/event-stream");
    // Only one chunk exists yet.
    assert!(answer.next().await.unwrap().contains(r#""text":"0""#));
    engine.release(N_CHUNKS - 1);
    let mut rest = String::new();
    while let Some(piece) = answer.next().await {
        rest.push_str(&piece);
    }
    assert!(rest.ends_with("data: [DONE]\n\n"), "{rest}");
    assert_eq!(engine.n_aborted(), 0);
}

#[tokio::test]
async fn a_client_that_leaves_aborts_the_generation() {
    let engine = Engine::start().await;
    let stack = Stack::start(&[&engine]).await;
    engine.release(1);
    let mut answer = start(stack.proxy(), Method::POST, PATH, &[], STREAM).await;
    answer.next().await.unwrap();
    drop(answer);
    crate::eventually("abort at the engine", async || engine.n_aborted() == 1).await;
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_aborts_too() {
    // A server that takes the request and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stack = Stack::with_flags(&[silent.local_addr().unwrap()], &[]).await;
    let mut client = TcpStream::connect(stack.proxy()).await.unwrap();
    let request = format!("POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{BODY}", BODY.len());
    client.write_all(request.as_bytes()).await.unwrap();
    let mut engine_side = loop {
        // Scrapes of the metrics page end up here too.
        let (mut stream, _) = within("connection to the endpoint", silent.accept()).await.unwrap();
        let mut start = [0; 4];
        stream.read_exact(&mut start).await.unwrap();
        if &start == b"POST" {
            break stream;
        }
    };
    drop(client);
    let mut rest = Vec::new();
    within("closed connection", engine_side.read_to_end(&mut rest)).await.ok();
}

#[tokio::test]
async fn a_refused_connection_moves_the_request_to_another_endpoint() {
    let engine = Engine::start().await;
    let dead = [DeadEndpoint::new(), DeadEndpoint::new()];
    let stack = Stack::with_flags(&[dead[0].address(), engine.address, dead[1].address()], &[]).await;
    for _ in 0..8 {
        let answer = post(stack.proxy(), PATH, &[], BODY).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(engine.seen().len(), 8);
    let metrics = get(stack.addresses.metrics, "/metrics").await;
    assert!(!metrics.text().contains("error_code="), "requests that were answered count no error");
}

#[tokio::test]
async fn without_an_endpoint_that_connects_the_answer_is_503() {
    let dead = DeadEndpoint::new();
    let stack = Stack::with_flags(&[dead.address()], &[]).await;
    let answer = post(stack.proxy(), PATH, &[], BODY).await;
    assert_eq!(answer.status, 503);
    assert_eq!(
        answer.json(),
        json!({"error": {
            "message": "no endpoint accepts connections; try again",
            "type": "ServiceUnavailableError",
            "param": null,
            "code": 503
        }})
    );
    assert_eq!(answer.headers["retry-after"], "1");
}

#[tokio::test]
async fn an_endpoint_that_breaks_off_is_a_502_and_not_asked_again() {
    let breaking = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stack = Stack::with_flags(&[breaking.local_addr().unwrap()], &[]).await;
    let server = tokio::spawn(async move {
        let mut n_requests = 0;
        loop {
            let (mut stream, _) = breaking.accept().await.unwrap();
            let mut start = [0; 4];
            if stream.read_exact(&mut start).await.is_ok() && &start == b"POST" {
                n_requests += 1;
                assert_eq!(n_requests, 1, "sent again");
            }
        }
    });
    let answer = post(stack.proxy(), PATH, &[], BODY).await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()["error"]["type"].as_str()),
        (502, Some("BadGatewayError"))
    );
    assert!(!server.is_finished());
    server.abort();
}

#[tokio::test]
async fn an_endpoint_that_hangs_meets_the_deadline() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stack = Stack::with_flags(&[silent.local_addr().unwrap()], &["--response-timeout=100ms"]).await;
    let answer = post(stack.proxy(), PATH, &[], BODY).await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()["error"]["type"].as_str()),
        (504, Some("GatewayTimeoutError"))
    );
}

#[tokio::test]
async fn an_endpoint_that_hangs_inside_its_answer_is_seen_as_broken() {
    let engine = Engine::start().await;
    let stack = Stack::with_flags(&[engine.address], &["--response-timeout=500ms"]).await;
    engine.release(1);
    let mut answer = start(stack.proxy(), Method::POST, PATH, &[], STREAM).await;
    answer.next().await.unwrap();
    assert!(within("end of the answer", answer.body.frame()).await.unwrap().is_err());
    crate::eventually("abort at the engine", async || engine.n_aborted() == 1).await;
}

#[tokio::test]
async fn bad_requests_end_at_the_proxy() {
    let engine = Engine::start().await;
    let stack = Stack::with_flags(&[engine.address], &["--max-request-body-bytes=1000"]).await;
    let long = "x".repeat(1001);
    for (body, status, kind) in [
        ("{\"model\"", 400, "BadRequestError"),
        ("{}", 400, "BadRequestError"),
        (long.as_str(), 413, "RequestEntityTooLargeError"),
    ] {
        let answer = post(stack.proxy(), PATH, &[], body).await;
        assert_eq!(answer.status, status, "{body}");
        assert_eq!(answer.headers["content-type"], "application/json");
        let error = &answer.json()["error"];
        assert_eq!(
            (error["type"].as_str(), error["code"].as_u64()),
            (Some(kind), Some(u64::from(status))),
            "{body}"
        );
        let message = error["message"].as_str().unwrap();
        assert!(!message.contains("inference error") && !message.starts_with("BadRequest"), "{message}");
        assert!(answer.headers.contains_key("x-request-id"));
    }
    assert!(engine.seen().is_empty());
}

#[tokio::test]
async fn a_chunked_body_over_the_limit_is_refused_while_it_arrives() {
    let engine = Engine::start().await;
    let stack = Stack::with_flags(&[engine.address], &["--max-request-body-bytes=1000"]).await;
    let mut client = TcpStream::connect(stack.proxy()).await.unwrap();
    let head = format!("POST {PATH} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
    let chunk = format!("258\r\n{}\r\n", "x".repeat(600));
    client.write_all(format!("{head}{chunk}{chunk}").as_bytes()).await.unwrap();
    let mut status_line = [0; 12];
    within("answer", client.read_exact(&mut status_line)).await.unwrap();
    assert_eq!(&status_line, b"HTTP/1.1 413");
}

#[tokio::test]
async fn requests_without_a_body_reach_an_endpoint() {
    let engine = Engine::start().await;
    let stack = Stack::start(&[&engine]).await;
    let answer = get(stack.proxy(), "/v1/models?limit=1").await;
    assert_eq!(answer.json()["data"][0]["id"], "llmd-tiny");
    assert_eq!(engine.seen()[0].path, "/v1/models?limit=1");
}

#[tokio::test]
async fn health_says_whether_requests_can_be_served() {
    let engine = Engine::start().await;
    let stack = Stack::start(&[&engine]).await;
    crate::eventually("health", async || get(stack.proxy(), "/health").await.status == 200).await;
    assert_eq!(start(stack.proxy(), Method::HEAD, "/health", &[], "").await.status, 200);
    assert!(engine.seen().is_empty(), "the proxy answers by itself");
    stack.readiness.condition("process", "shutting down").not_ready("shutting down");
    let answer = get(stack.proxy(), "/health").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["error"]["message"], "not ready: process: shutting down");
}

#[tokio::test]
async fn health_is_503_while_no_endpoint_answers() {
    let mut engine = Engine::start().await;
    let stack = Stack::start(&[&engine]).await;
    crate::eventually("health", async || get(stack.proxy(), "/health").await.status == 200).await;
    engine.crash().await;
    crate::eventually("bad health", async || get(stack.proxy(), "/health").await.status == 503).await;
    let answer = get(stack.proxy(), "/health").await;
    assert_eq!(answer.json()["error"]["message"], "not ready: no endpoint answers");
}

#[tokio::test]
async fn what_is_no_request_for_an_endpoint_is_refused() {
    let engine = Engine::start().await;
    let stack = Stack::start(&[&engine]).await;
    for text in ["CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n", "GARBAGE\r\n\r\n"] {
        let mut client = TcpStream::connect(stack.proxy()).await.unwrap();
        client.write_all(text.as_bytes()).await.unwrap();
        let mut status_line = [0; 12];
        within("answer", client.read_exact(&mut status_line)).await.unwrap();
        assert_eq!(&status_line, b"HTTP/1.1 400", "{text}");
    }
    assert!(engine.seen().is_empty());
}

#[tokio::test]
async fn a_crashed_endpoint_is_survived_by_the_next_request() {
    let (mut first, second) = (Engine::start().await, Engine::start().await);
    let stack = Stack::start(&[&first, &second]).await;
    for _ in 0..8 {
        assert_eq!(post(stack.proxy(), PATH, &[], BODY).await.status, 200);
    }
    first.crash().await;
    // Pooled connections to the first engine are dead now.
    for _ in 0..8 {
        let answer = post(stack.proxy(), PATH, &[], BODY).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(first.seen().len() + second.seen().len(), 16);
}

#[tokio::test]
async fn the_last_decisions_are_shown() {
    let engine = Engine::start().await;
    let stack = Stack::start(&[&engine]).await;
    post(stack.proxy(), PATH, &[("x-request-id", "find-me")], BODY).await;
    let page = get(stack.addresses.metrics, "/debug/decisions").await;
    assert!(
        page.text().contains("find-me") && page.text().contains(&engine.address.to_string()),
        "{}",
        page.text()
    );
}
