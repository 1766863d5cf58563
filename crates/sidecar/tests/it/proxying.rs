use std::net::SocketAddr;

use axum::response::Response;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{FakeEngine, PATIENCE, call, config, json, run, sidecar};

#[tokio::test]
async fn health_is_the_sidecars_own() {
    let engine = FakeEngine::start(|_, _| json(500, "engine")).await;
    let sidecar = sidecar(engine.address, &[]).await;
    for method in ["GET", "HEAD"] {
        let reply = call(sidecar.address, method, "/health", &[], "").await;
        assert_eq!((reply.status.as_u16(), reply.text()), (200, ""));
    }
    assert_eq!(engine.seen().len(), 0);
    assert_eq!(call(sidecar.address, "POST", "/health", &[], "").await.text(), "engine");
}

#[tokio::test]
async fn everything_else_is_the_engines() {
    let engine = FakeEngine::start(|seen, _| json(418, format!("{} {}", seen.method, seen.path))).await;
    let sidecar = sidecar(engine.address, &[]).await;
    for (method, path) in [
        ("GET", "/metrics"),
        ("GET", "/v1/models?x=%20y&z"),
        ("GET", "/v1/chat/completions"),
        ("POST", "/v1/embeddings"),
        ("DELETE", "/any/thing/../odd//path"),
        ("OPTIONS", "/"),
        ("PATCH", "/tokenize"),
    ] {
        let reply = call(sidecar.address, method, path, &[], "").await;
        assert_eq!((reply.status.as_u16(), reply.text()), (418, format!("{method} {path}").as_str()));
    }
}

#[tokio::test]
async fn odd_bodies_pass_byte_for_byte_both_ways() {
    let engine = FakeEngine::start(|seen, _| json(200, seen.body.clone())).await;
    let sidecar = sidecar(engine.address, &[]).await;
    let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let reply = call(sidecar.address, "POST", "/v1/audio/transcriptions", &[], bytes.clone()).await;
    assert!(reply.body == bytes);
    for body in ["", "{ \"a\" : 1.10 , \"b\":[ ] }\r\n", "not json", "{\"a\":NaN}"] {
        let reply = call(sidecar.address, "POST", "/v1/chat/completions", &[], body).await;
        assert_eq!(reply.text(), body);
    }
}

#[tokio::test]
async fn spoofed_routing_never_reaches_an_engine() {
    let engine = FakeEngine::json("{}").await;
    let sidecar = sidecar(engine.address, &[]).await;
    let mut headers: Vec<_> = llmd_api::headers::ROUTING.iter().map(|it| (*it, "1.2.3.4:5")).collect();
    headers.push(("x-mine", "1"));
    call(sidecar.address, "GET", "/v1/models", &headers, "").await;
    let seen = engine.only();
    assert!(llmd_api::headers::ROUTING.iter().all(|it| seen.header(it).is_none()), "{seen:?}");
    assert_eq!(seen.header("x-mine"), Some("1"));
}

#[tokio::test]
async fn spoofed_transfer_params_never_reach_an_engine() {
    let engine = FakeEngine::json("{}").await;
    let sidecar = sidecar(engine.address, &[]).await;
    let body = r#"{"prompt": "x", "kv_transfer_params": {"do_remote_prefill":true}, "n":1.0}"#;
    for path in ["/v1/completions", "/v1/chat%2Fcompletions"] {
        call(sidecar.address, "POST", path, &[], body).await;
    }
    for seen in engine.seen() {
        assert_eq!(seen.text(), r#"{"prompt": "x", "n":1.0}"#, "{}", seen.path);
    }
    let unreadable = r#"{"x":NaN,"kv_transfer_params":{}}"#;
    call(sidecar.address, "POST", "/v1/completions", &[], unreadable)
        .await
        .assert_error(400, "BadRequestError");
    assert_eq!(engine.seen().len(), 2);
}

#[tokio::test]
async fn headers_pass_without_those_of_the_connection() {
    let engine = FakeEngine::start(|_, _| {
        let response = Response::builder().header("connection", "x-hop").header("x-hop", "1");
        response.header("x-kept", "a").header("x-kept", "b").body("ok".into()).unwrap()
    })
    .await;
    let sidecar = sidecar(engine.address, &[]).await;
    let headers = [
        ("host", "model.example"),
        ("te", "trailers"),
        ("x-forwarded-for", "9.9.9.9"),
        ("traceparent", "00-a-b-01"),
    ];
    let reply = call(sidecar.address, "GET", "/", &headers, "").await;
    let seen = engine.only();
    assert_eq!(seen.header("host"), Some("model.example"));
    assert_eq!(seen.header("te"), None);
    assert_eq!(seen.header("traceparent"), Some("00-a-b-01"));
    assert_eq!(seen.header("x-forwarded-for"), Some("9.9.9.9, 127.0.0.1"));
    assert_eq!(reply.headers.get("x-hop"), None);
    assert_eq!(reply.headers.get_all("x-kept").iter().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(reply.headers["content-length"], "2");
}

#[tokio::test]
async fn each_rank_has_a_listener_and_rank_zero_routes_by_header() {
    let (first, second) = neighbours().await;
    let mut config = config(first.address, &["--secure-proxy=false", "--data-parallel-size=2"]);
    config.pod_ip = "10.0.0.9".to_owned();
    let sidecar = run(config).await;
    for address in &sidecar.addresses {
        call(*address, "GET", "/v1/models", &[], "").await;
    }
    assert_eq!((first.seen().len(), second.seen().len()), (1, 1));

    let post = async |rank: &str| {
        let headers = [("x-data-parallel-host-port", rank)];
        call(sidecar.address, "POST", "/v1/completions", &headers, "{}").await
    };
    post(&format!("10.0.0.9:{}", sidecar.addresses[1].port())).await;
    post(&format!("10.0.0.9:{}", sidecar.addresses[0].port())).await;
    assert_eq!((first.seen().len(), second.seen().len()), (2, 2));
    post("10.0.0.9:1").await.assert_error(400, "BadRequestError");
    assert_eq!((first.seen().len(), second.seen().len()), (2, 2));
}

/// Two engines on ports next to each other.
async fn neighbours() -> (FakeEngine, FakeEngine) {
    for _ in 0..100 {
        let first = FakeEngine::json("{}").await;
        let mut next = first.address;
        next.set_port(first.address.port().saturating_add(1));
        if let Some(second) = FakeEngine::at(next, |_, _| json(200, "{}")).await {
            return (first, second);
        }
    }
    panic!("no two neighbouring ports are free");
}

/// What the sidecar answers to `text`, as bytes on the wire, until it closes the connection.
async fn raw(address: SocketAddr, text: &str) -> String {
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = tokio::time::timeout(PATIENCE, client.read_to_string(&mut answer)).await;
    read.expect("the connection is closed").unwrap();
    answer
}

#[tokio::test]
async fn a_body_framed_in_two_ways_is_one_request() {
    let engine = FakeEngine::start(|seen, _| json(200, seen.body.clone())).await;
    let sidecar = sidecar(engine.address, &[]).await;
    let chunks = "6\r\nGET /x\r\n4;a=b\r\n ooo\r\n0\r\nx-prefiller-host-port: 1.2.3.4:5\r\n\r\n";
    for (path, lengths) in [
        ("/v1/embeddings", "content-length: 4\r\ntransfer-encoding: chunked"),
        ("/v1/embeddings", "Transfer-Encoding: Chunked\r\nContent-Length: 4"),
        ("/v1/completions", "content-length: 4\r\ntransfer-encoding: chunked"),
    ] {
        let text =
            format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{lengths}\r\n\r\n{chunks}");
        let answer = raw(sidecar.address, &text).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("GET /x ooo"), "{answer}");
    }
    let seen = engine.seen();
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert!(seen.iter().all(|it| it.text() == "GET /x ooo" && it.header("x-prefiller-host-port").is_none()));
    for lengths in [
        "content-length: 4\r\ncontent-length: 5",
        "content-length: +4",
        "transfer-encoding: chunked, gzip",
        "transfer-encoding: xchunked",
    ] {
        let text = format!("POST /v1/embeddings HTTP/1.1\r\nhost: x\r\n{lengths}\r\n\r\n{chunks}");
        assert!(raw(sidecar.address, &text).await.starts_with("HTTP/1.1 400"), "{lengths}");
    }
    assert_eq!(engine.seen().len(), 3);
}

#[tokio::test]
async fn requests_of_odd_form_reach_the_engine_and_nobody_else() {
    let engine = FakeEngine::start(|seen, _| json(200, format!("{} {}", seen.method, seen.path))).await;
    let sidecar = sidecar(engine.address, &[]).await;
    let upgrade = "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AA";
    for (text, status, end) in [
        ("GET http://evil.example:1/v1/models HTTP/1.0\r\n\r\n".to_owned(), "HTTP/1.0 200", "GET /v1/models"),
        ("HEAD /v1/models HTTP/1.0\r\n\r\n".to_owned(), "HTTP/1.0 200", "\r\n\r\n"),
        ("OPTIONS * HTTP/1.0\r\n\r\n".to_owned(), "HTTP/1.0 200", "OPTIONS *"),
        (
            format!("GET /a HTTP/1.1\r\nhost: x\r\n{upgrade}\r\nconnection: close\r\n\r\n"),
            "HTTP/1.1 200",
            "GET /a",
        ),
        ("CONNECT evil.example:1 HTTP/1.0\r\n\r\n".to_owned(), "HTTP/1.0 400", "}"),
    ] {
        let answer = raw(sidecar.address, &text).await;
        assert!(answer.starts_with(status) && answer.ends_with(end), "{text} -> {answer}");
    }
    let seen = engine.seen();
    assert_eq!(seen.len(), 4);
    assert!(seen.iter().all(|it| it.header("upgrade").is_none() && it.header("http2-settings").is_none()));
}
