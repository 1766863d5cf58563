//! The ext_proc service over real gRPC streams.

use envoy_types::pb::google::protobuf::value::Kind;
use llmd_common::shutdown::Times;
use std::time::Duration;
use tokio::net::TcpStream;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::engine::Engine;
use crate::grpc::{Call, GET, POST, value};
use crate::stack::Stack;
use crate::within;

const BODY: &str = r#"{"model":"llmd-tiny","prompt":"What is prefill?"}"#;

#[tokio::test]
async fn a_request_is_routed_when_its_body_is_complete() {
    let engine = Engine::start().await;
    let stack = Stack::start(&[&engine]).await;
    let mut call = Call::start(stack.addresses.grpc).await;
    call.request_headers(POST, false).await;
    let (first, second) = BODY.split_at(10);
    call.request_body(first, false).await;
    call.expect_silence().await;
    call.request_body(second, true).await;

    let (mutation, answer) = call.next_headers().await;
    let destination = engine.address.to_string();
    assert_eq!(value(&mutation, "x-gateway-destination-endpoint"), Some(destination.clone()));
    assert_eq!(value(&mutation, "content-length"), Some(BODY.len().to_string()));
    assert!(value(&mutation, "x-request-id").is_some());
    let metadata = answer.dynamic_metadata.unwrap();
    let Some(Kind::StructValue(namespace)) = &metadata.fields["envoy.lb"].kind else {
        panic!("{metadata:?}")
    };
    let expected = Some(Kind::StringValue(destination));
    assert_eq!(namespace.fields["x-gateway-destination-endpoint"].kind, expected);

    let piece = call.next_body().await;
    assert_eq!((piece.body.as_slice(), piece.end_of_stream), (BODY.as_bytes(), true));
    call.finish().await;
}

#[tokio::test]
async fn the_default_is_tls_with_a_certificate_made_at_start() {
    let engine = Engine::start().await;
    let stack = Stack::with_flags(&[engine.address], &[]).await;
    let mut call = Call::start_tls(stack.addresses.grpc).await;
    call.request_headers(GET, true).await;
    let (mutation, _) = call.next_headers().await;
    assert_eq!(value(&mutation, "x-gateway-destination-endpoint"), Some(engine.address.to_string()));
    call.finish().await;
}

#[tokio::test]
async fn a_large_body_comes_back_in_pieces_that_envoy_takes() {
    let engine = Engine::start().await;
    let stack = Stack::start(&[&engine]).await;
    let mut call = Call::start_gzip(stack.addresses.grpc).await;
    let body = format!(r#"{{"model":"llmd-tiny","prompt":"{}"}}"#, "prefill ".repeat(25_000));
    call.request_headers(POST, false).await;
    let chunks: Vec<&[u8]> = body.as_bytes().chunks(65_536).collect();
    for (idx, chunk) in chunks.iter().enumerate() {
        call.request_body(str::from_utf8(chunk).unwrap(), idx + 1 == chunks.len()).await;
    }
    let (mutation, _) = call.next_headers().await;
    assert_eq!(value(&mutation, "content-length"), Some(body.len().to_string()));
    let mut received = Vec::new();
    loop {
        let piece = call.next_body().await;
        assert!(piece.body.len() <= 62_000, "{}", piece.body.len());
        received.extend(piece.body);
        if piece.end_of_stream {
            break;
        }
    }
    assert!(received == body.as_bytes(), "the pieces are the body");
    call.finish().await;
}

#[tokio::test]
async fn a_request_without_a_body_goes_to_any_endpoint_at_once() {
    let engine = Engine::start().await;
    let stack = Stack::start(&[&engine]).await;
    let mut call = Call::start(stack.addresses.grpc).await;
    call.request_headers(GET, true).await;
    let (mutation, _) = call.next_headers().await;
    assert_eq!(value(&mutation, "x-gateway-destination-endpoint"), Some(engine.address.to_string()));
    assert_eq!(value(&mutation, "content-length"), None);
}

#[tokio::test]
async fn refusals_are_immediate_responses() {
    let engine = Engine::start().await;
    let (stack, empty) = (Stack::start(&[&engine]).await, Stack::start(&[]).await);
    let cases = [
        (
            &stack,
            "{\"model\"",
            400,
            "inference error: BadRequest - error unmarshaling request bodyMap: ",
            None,
        ),
        (&stack, "{}", 400, "inference error: BadRequest - model not found in request body", None),
        (
            &empty,
            BODY,
            503,
            "inference error: ServiceUnavailable - failed to find endpoint candidates for serving the request",
            Some("rejected-no-endpoints"),
        ),
    ];
    for (stack, body, status, text, reason) in cases {
        let mut call = Call::start(stack.addresses.grpc).await;
        call.request_headers(POST, false).await;
        call.request_body(body, true).await;
        let immediate = call.next_immediate().await;
        assert_eq!(immediate.status.unwrap().code, status, "{body}");
        let answer = String::from_utf8(immediate.body).unwrap();
        assert!(answer.starts_with(text), "{answer}");
        let headers = immediate.headers.unwrap();
        assert_eq!(value(&headers, "x-llm-d-request-dropped-reason").as_deref(), reason, "{body}");
        call.finish().await;
    }
    let mut call = Call::start(empty.addresses.grpc).await;
    call.request_headers(GET, true).await;
    let immediate = call.next_immediate().await;
    assert_eq!(immediate.status.unwrap().code, 500);
    assert_eq!(immediate.body, b"inference error: Internal - no pods available in datastore");
}

#[tokio::test]
async fn a_streamed_answer_is_echoed_chunk_by_chunk() {
    let engine = Engine::start().await;
    let stack = Stack::start(&[&engine]).await;
    let mut call = Call::start(stack.addresses.grpc).await;
    call.request_headers(POST, false).await;
    call.request_body(BODY, true).await;
    call.next_headers().await;
    call.next_body().await;

    call.response_headers(&[(":status", "200"), ("content-type", "text/event-stream")], false).await;
    let (mutation, _) = call.next_headers().await;
    assert_eq!(value(&mutation, "x-went-into-resp-headers").as_deref(), Some("true"));
    for (text, end) in [("data: {\"choices\":[]}\n\n", false), ("data: [DONE]\n\n", true)] {
        call.response_body(text, end).await;
        // The next chunk is sent only after this one came back.
        let piece = call.next_body().await;
        assert_eq!((str::from_utf8(&piece.body).unwrap(), piece.end_of_stream), (text, end));
    }
    call.finish().await;
}

#[tokio::test]
async fn a_stream_that_the_gateway_drops_is_forgotten() {
    let engine = Engine::start().await;
    let flags = ["--secure-serving=false", "--enable-grpc-stream-metrics"];
    let stack = Stack::with_flags(&[engine.address], &flags).await;
    let mut call = Call::start(stack.addresses.grpc).await;
    call.request_headers(POST, false).await;
    call.request_body(BODY, true).await;
    call.next_headers().await;
    stack.expect_metric("llm_d_epp_extproc_streams_inflight 1").await;
    drop(call);
    stack.expect_metric("llm_d_epp_extproc_streams_inflight 0").await;
    stack.expect_metric("llm_d_epp_extproc_streams_total{code=\"Canceled\"} 1").await;
}

#[tokio::test]
async fn limits_of_body_and_message_hold() {
    let engine = Engine::start().await;
    let flags = ["--secure-serving=false", "--max-request-body-bytes=100", "--grpc-max-recv-msg-size=1Ki"];
    let stack = Stack::with_flags(&[engine.address], &flags).await;
    let mut call = Call::start(stack.addresses.grpc).await;
    call.request_headers(POST, false).await;
    call.request_body(&"x".repeat(101), false).await;
    assert_eq!(call.next_immediate().await.status.unwrap().code, 413);

    let mut call = Call::start(stack.addresses.grpc).await;
    call.request_headers(POST, false).await;
    call.request_body(&"x".repeat(2000), false).await;
    assert_eq!(call.next().await.unwrap_err().code(), Code::OutOfRange);
}

#[tokio::test]
async fn health_follows_readiness_and_shutdown() {
    let engine = Engine::start().await;
    let flags = ["--secure-serving=false", "--health-checking"];
    let stack = Stack::with_flags(&[engine.address], &flags).await;
    let mut health = HealthClient::new(connect(stack.addresses.health).await);
    let mut beside = HealthClient::new(connect(stack.addresses.grpc).await);
    crate::eventually("readiness", async || stack.readiness.is_ready()).await;
    for service in
        ["", "inference-extension", "readiness", "envoy.service.ext_proc.v3.ExternalProcessor", "liveness"]
    {
        assert_eq!(check(&mut health, service).await, ServingStatus::Serving, "{service}");
        assert_eq!(check(&mut beside, service).await, ServingStatus::Serving, "{service}");
    }
    let watch = health.watch(HealthCheckRequest::default()).await;
    assert_eq!(watch.unwrap_err().code(), Code::Unimplemented);

    // While gateways take notice, connections still work and say that the end is near.
    let (shutdown, readiness) = (stack.shutdown.clone(), stack.readiness.clone());
    let times = Times { propagation: Duration::from_secs(60), drain: Duration::ZERO };
    let ending = tokio::spawn(async move { shutdown.finish(&readiness, times).await });
    crate::eventually("NOT_SERVING", async || {
        check(&mut health, "readiness").await == ServingStatus::NotServing
    })
    .await;
    assert_eq!(check(&mut health, "liveness").await, ServingStatus::Serving);
    let mut call = Call::start(stack.addresses.grpc).await;
    call.request_headers(GET, true).await;
    call.next_headers().await;
    ending.abort();
}

#[tokio::test]
async fn a_shutdown_lets_streams_finish_and_takes_no_new_ones() {
    let engine = Engine::start().await;
    let stack = Stack::start(&[&engine]).await;
    let mut call = Call::start(stack.addresses.grpc).await;
    call.request_headers(POST, false).await;
    call.request_body(BODY, true).await;
    call.next_headers().await;
    call.next_body().await;

    let (shutdown, readiness) = (stack.shutdown.clone(), stack.readiness.clone());
    let times = Times { propagation: Duration::ZERO, drain: Duration::from_secs(60) };
    let ending = tokio::spawn(async move { shutdown.finish(&readiness, times).await });
    crate::eventually("closed port", async || TcpStream::connect(stack.addresses.grpc).await.is_err()).await;
    call.response_headers(&[(":status", "200")], false).await;
    call.next_headers().await;
    call.response_body("{}", true).await;
    assert!(call.next_body().await.end_of_stream);
    assert!(!ending.is_finished());
    call.finish().await;
    assert!(within("end of the drain", ending).await.unwrap(), "nothing had to be cut");
}

async fn connect(address: std::net::SocketAddr) -> tonic::transport::Channel {
    tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

async fn check(client: &mut HealthClient<tonic::transport::Channel>, service: &str) -> ServingStatus {
    let request = HealthCheckRequest { service: service.to_owned() };
    within("health answer", client.check(request)).await.unwrap().into_inner().status()
}
