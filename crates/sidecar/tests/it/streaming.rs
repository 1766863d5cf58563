use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;

use crate::harness::{FakeEngine, PATIENCE, call, closed_port, eventually, json, send, sidecar};

const READY: &str = r#"{"usage":{"prompt_tokens_details":{"cached_tokens":2}},"kv_transfer_params":{"a":1}}"#;

/// An engine whose event stream the test writes, and which tells when its client is gone.
struct Stream {
    engine: FakeEngine,
    chunks: mpsc::Sender<Result<Bytes, std::io::Error>>,
}

async fn stream() -> Stream {
    let (chunks, receiver) = mpsc::channel(1);
    let receiver = std::sync::Mutex::new(Some(receiver));
    let engine = FakeEngine::start(move |_, _| {
        let receiver = receiver.lock().unwrap().take().expect("the stream is read once");
        let body = futures_util::stream::unfold(receiver, async |mut receiver: mpsc::Receiver<_>| {
            Some((receiver.recv().await?, receiver))
        });
        let response = Response::builder().header("content-type", "text/event-stream; charset=utf-8");
        response.body(Body::from_stream(body)).unwrap()
    })
    .await;
    Stream { engine, chunks }
}

impl Stream {
    async fn write(&self, chunk: &'static str) {
        self.chunks.send(Ok(Bytes::from_static(chunk.as_bytes()))).await.unwrap();
    }
}

async fn next(body: &mut hyper::body::Incoming) -> Option<String> {
    let frame = tokio::time::timeout(PATIENCE, body.frame()).await.expect("a frame arrives")?;
    Some(String::from_utf8(frame.unwrap().into_data().unwrap().to_vec()).unwrap())
}

#[tokio::test]
async fn each_event_arrives_before_the_next_is_made() {
    let prefill = FakeEngine::json(READY).await;
    for prefillers in [String::new(), prefill.address.to_string()] {
        let decode = stream().await;
        let sidecar = sidecar(decode.engine.address, &[]).await;
        let headers = [("x-prefiller-host-port", prefillers.as_str())];
        let response = send(sidecar.address, "POST", "/v1/completions", &headers, r#"{"stream":true}"#).await;
        let mut body = response.into_body();
        for event in ["data: {\"i\":1}\n\n", "data: {\"i\":2}\n\n", ": ping\n\n", "data: [DONE]\n\n"] {
            decode.write(event).await;
            assert_eq!(next(&mut body).await.as_deref(), Some(event));
        }
        drop(decode.chunks);
        assert_eq!(next(&mut body).await, None);
    }
}

#[tokio::test]
async fn usage_is_rewritten_across_chunks() {
    let prefill = FakeEngine::json(READY).await;
    let decode = stream().await;
    let sidecar = sidecar(decode.engine.address, &[]).await;
    let target = prefill.address.to_string();
    let headers = [("x-prefiller-host-port", target.as_str())];
    let response = send(sidecar.address, "POST", "/v1/chat/completions", &headers, "{}").await;
    let mut body = response.into_body();
    decode.write("data: {\"a\":1}\n\ndata: {\"us").await;
    assert_eq!(next(&mut body).await.as_deref(), Some("data: {\"a\":1}\n\n"), "whole lines do not wait");
    decode.write("age\":{\"prompt_tokens\":3}}").await;
    decode.write("\n\n").await;
    let rewritten =
        "data: {\"usage\":{\"prompt_tokens\":3,\"prompt_tokens_details\":{\"cached_tokens\":2}}}\n\n";
    assert_eq!(next(&mut body).await.as_deref(), Some(rewritten));
    decode.write("data: {\"usage\":{}}").await;
    drop(decode.chunks);
    let last = "data: {\"usage\":{\"prompt_tokens_details\":{\"cached_tokens\":2}}}";
    assert_eq!(next(&mut body).await.as_deref(), Some(last), "a last line without its end counts too");
    assert_eq!(next(&mut body).await, None);
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_seen_as_broken() {
    let prefill = FakeEngine::json(READY).await;
    for prefillers in [String::new(), prefill.address.to_string()] {
        let decode = stream().await;
        let sidecar = sidecar(decode.engine.address, &[]).await;
        let headers = [("x-prefiller-host-port", prefillers.as_str())];
        let response = send(sidecar.address, "POST", "/v1/completions", &headers, "{}").await;
        let mut body = response.into_body();
        decode.write("data: 1\n\n").await;
        next(&mut body).await;
        decode.chunks.send(Err(std::io::Error::other("the engine died"))).await.unwrap();
        let end = tokio::time::timeout(PATIENCE, body.frame()).await.unwrap();
        assert!(end.is_some_and(|it| it.is_err()), "not taken for a whole answer");
        assert_eq!(call(sidecar.address, "GET", "/health", &[], "").await.status, 200, "the sidecar goes on");
    }
}

#[tokio::test]
async fn a_stream_that_falls_silent_is_seen_as_broken() {
    let prefill = FakeEngine::json(READY).await;
    for prefillers in [String::new(), prefill.address.to_string()] {
        let decode = stream().await;
        let sidecar = sidecar(decode.engine.address, &["--response-timeout=500ms"]).await;
        let headers = [("x-prefiller-host-port", prefillers.as_str())];
        let response = send(sidecar.address, "POST", "/v1/completions", &headers, "{}").await;
        let mut body = response.into_body();
        decode.write("data: 1\n\n").await;
        next(&mut body).await;
        let end = tokio::time::timeout(PATIENCE, body.frame()).await.expect("the silence ends");
        assert!(end.is_some_and(|it| it.is_err()), "not taken for a whole answer");
        let closed = tokio::time::timeout(PATIENCE, decode.chunks.closed()).await;
        assert!(closed.is_ok(), "the engine's response is dropped");
    }
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_decode_stream() {
    let prefill = FakeEngine::json(READY).await;
    for prefillers in [String::new(), prefill.address.to_string()] {
        let decode = stream().await;
        let sidecar = sidecar(decode.engine.address, &[]).await;
        let headers = [("x-prefiller-host-port", prefillers.as_str())];
        let response = send(sidecar.address, "POST", "/v1/completions", &headers, r#"{"stream":true}"#).await;
        let mut body = response.into_body();
        decode.write("data: 1\n\n").await;
        next(&mut body).await;
        drop(body);
        let closed = tokio::time::timeout(PATIENCE, decode.chunks.closed()).await;
        assert!(closed.is_ok(), "the engine's response is dropped");
    }
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_prefill_leg() {
    let prefill = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let decode = FakeEngine::json("{}").await;
    let sidecar = sidecar(decode.address, &[]).await;
    let target = prefill.local_addr().unwrap().to_string();
    let address = sidecar.address;
    let client = tokio::spawn(async move {
        send(address, "POST", "/v1/completions", &[("x-prefiller-host-port", &target)], "{}").await;
    });
    let (leg, _) = prefill.accept().await.unwrap();
    leg.readable().await.unwrap();
    client.abort();
    let mut request = vec![0; 4096];
    let ended =
        eventually("the prefill connection ends", move || matches!(leg.try_read(&mut request), Ok(0)));
    ended.await;
    assert_eq!(decode.seen().len(), 0);
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_retries() {
    let prefill = FakeEngine::start(|_, _| json(503, "busy")).await;
    let flags = ["--prefill-max-retries=1000000", "--prefill-retry-backoff=5ms"];
    let sidecar = sidecar(closed_port().await, &flags).await;
    let (address, target) = (sidecar.address, prefill.address.to_string());
    let client = tokio::spawn(async move {
        send(address, "POST", "/v1/completions", &[("x-prefiller-host-port", &target)], "{}").await;
    });
    eventually("some retries", || prefill.seen().len() > 3).await;
    client.abort();
    let mut last = 0;
    for _ in 0..100 {
        last = prefill.seen().len();
        tokio::time::sleep(Duration::from_millis(50)).await;
        if prefill.seen().len() == last {
            return;
        }
    }
    panic!("{last} attempts and no end");
}

#[tokio::test]
async fn a_large_upload_streams_through() {
    let engine = FakeEngine::start(|seen, _| json(200, seen.body.len().to_string())).await;
    let sidecar = sidecar(engine.address, &[]).await;
    let response = send(sidecar.address, "POST", "/v1/files", &[], vec![7; 20 << 20]).await;
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, (20 << 20).to_string());
}
