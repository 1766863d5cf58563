use axum::response::Response;

use crate::harness::{FakeEngine, call, closed_port, complete, json, sidecar};

const READY: &str = r#"{"kv_transfer_params":{"remote_port":1}}"#;

#[tokio::test]
async fn a_prefill_error_reaches_the_client_verbatim() {
    for status in [400, 401, 404, 422, 429, 500, 503, 307] {
        let prefill = FakeEngine::start(move |_, _| {
            let response = Response::builder().status(status).header("retry-after", "7");
            response.header("content-type", "text/odd").body("  {odd \u{e9}".into()).unwrap()
        })
        .await;
        let decode = FakeEngine::json("{}").await;
        let sidecar = sidecar(decode.address, &[]).await;
        let reply = complete(sidecar.address, &prefill.address.to_string(), "{}").await;
        assert_eq!(reply.status, status);
        assert_eq!(reply.text(), "  {odd \u{e9}");
        assert_eq!(reply.headers["retry-after"], "7");
        assert_eq!(reply.headers["content-type"], "text/odd");
        assert_eq!((prefill.seen().len(), decode.seen().len()), (1, 0));
    }
}

#[tokio::test]
async fn transient_prefill_errors_are_retried_at_the_same_endpoint() {
    let prefill =
        FakeEngine::start(|_, index| if index < 2 { json(503, "busy") } else { json(200, READY) }).await;
    let decode = FakeEngine::json("{}").await;
    let flags = ["--prefill-max-retries=2", "--prefill-retry-backoff=1ms"];
    let sidecar = sidecar(decode.address, &flags).await;
    let reply = complete(sidecar.address, &prefill.address.to_string(), r#"{"a":1}"#).await;
    assert_eq!(reply.status, 200);
    let seen = prefill.seen();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|it| it.body == seen[0].body && it.headers == seen[0].headers));
    assert_eq!(decode.only().text(), r#"{"a":1,"kv_transfer_params":{"remote_port":1}}"#);
}

#[tokio::test]
async fn retries_end_and_other_errors_have_none() {
    let flags = ["--prefill-max-retries=2", "--prefill-retry-backoff=1ms"];
    for (status, attempts) in [(502, 3), (503, 3), (504, 3), (500, 1), (429, 1)] {
        let prefill = FakeEngine::start(move |_, _| json(status, "no")).await;
        let decode = FakeEngine::json("{}").await;
        let sidecar = sidecar(decode.address, &flags).await;
        let reply = complete(sidecar.address, &prefill.address.to_string(), "{}").await;
        assert_eq!((reply.status.as_u16(), reply.text()), (status, "no"));
        assert_eq!((prefill.seen().len(), decode.seen().len()), (attempts, 0));
    }
}

#[tokio::test]
async fn an_unreachable_prefill_endpoint_is_a_bad_gateway() {
    let decode = FakeEngine::json("{}").await;
    let sidecar = sidecar(decode.address, &[]).await;
    let reply = complete(sidecar.address, &closed_port().await.to_string(), "{}").await;
    reply.assert_error(502, "BadGateway");
    assert_eq!(decode.seen().len(), 0);
}

#[tokio::test]
async fn policy_local_decodes_the_clients_own_body() {
    let body = r#"{ "prompt":"x", "kv_transfer_params":{"a":1}, "max_tokens":3 }"#;
    let busy = FakeEngine::start(|_, _| json(503, "busy")).await;
    for prefiller in [closed_port().await, busy.address] {
        let decode = FakeEngine::json(r#"{"usage":{"prompt_tokens":1}}"#).await;
        let sidecar = sidecar(decode.address, &["--prefill-failure-policy=local"]).await;
        let reply = complete(sidecar.address, &prefiller.to_string(), body).await;
        assert_eq!(reply.text(), r#"{"usage":{"prompt_tokens":1}}"#);
        assert_eq!(decode.only().text(), r#"{ "prompt":"x", "max_tokens":3 }"#);
    }
}

#[tokio::test]
async fn policy_local_never_hides_a_refusal() {
    for status in [400, 429, 500] {
        let prefill = FakeEngine::start(move |_, _| json(status, "no")).await;
        let decode = FakeEngine::json("{}").await;
        let sidecar = sidecar(decode.address, &["--prefill-failure-policy=local"]).await;
        let reply = complete(sidecar.address, &prefill.address.to_string(), "{}").await;
        assert_eq!((reply.status.as_u16(), reply.text()), (status, "no"));
        assert_eq!(decode.seen().len(), 0);
    }
}

#[tokio::test]
async fn policy_next_candidate_goes_down_the_list() {
    let busy = FakeEngine::start(|_, _| json(503, "busy")).await;
    let good = FakeEngine::json(READY).await;
    let decode = FakeEngine::json("{}").await;
    let sidecar = sidecar(decode.address, &["--prefill-failure-policy=next-candidate"]).await;
    let candidates = format!("{},{},{}", closed_port().await, busy.address, good.address);
    let reply = complete(sidecar.address, &candidates, "{}").await;
    assert_eq!(reply.status, 200);
    assert_eq!((busy.seen().len(), good.seen().len(), decode.seen().len()), (1, 1, 1));

    let reply = complete(sidecar.address, &busy.address.to_string(), "{}").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (503, "busy"), "the last failure is the answer");
}

#[tokio::test]
async fn a_prefill_that_hangs_meets_its_deadline() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let decode = FakeEngine::json("{}").await;
    let sidecar = sidecar(decode.address, &["--prefill-timeout=50ms"]).await;
    let reply = complete(sidecar.address, &listener.local_addr().unwrap().to_string(), "{}").await;
    reply.assert_error(504, "GatewayTimeout");
}

#[tokio::test]
async fn a_prefill_answer_that_is_no_json_is_a_bad_request() {
    for answer in ["", "<html>", "[1]"] {
        let prefill = FakeEngine::json(answer).await;
        let decode = FakeEngine::json("{}").await;
        let sidecar = sidecar(decode.address, &[]).await;
        complete(sidecar.address, &prefill.address.to_string(), "{}")
            .await
            .assert_error(400, "BadRequestError");
        assert_eq!(decode.seen().len(), 0);
    }
}

#[tokio::test]
async fn a_client_body_that_is_no_object_reaches_nobody() {
    let prefill = FakeEngine::json(READY).await;
    let decode = FakeEngine::json("{}").await;
    let sidecar = sidecar(decode.address, &[]).await;
    for body in ["", "null", "[]", "{\"a\":", "{\"a\":NaN}"] {
        complete(sidecar.address, &prefill.address.to_string(), body)
            .await
            .assert_error(400, "BadRequestError");
    }
    complete(sidecar.address, "not an endpoint", "{}").await.assert_error(400, "BadRequestError");
    assert_eq!((prefill.seen().len(), decode.seen().len()), (0, 0));
}

#[tokio::test]
async fn a_decode_engine_that_is_down_is_not_ready() {
    let prefill = FakeEngine::json(READY).await;
    let sidecar = sidecar(closed_port().await, &[]).await;
    complete(sidecar.address, &prefill.address.to_string(), "{}")
        .await
        .assert_error(503, "ServiceUnavailable");
    complete(sidecar.address, "", "{}").await.assert_error(503, "ServiceUnavailable");
    call(sidecar.address, "GET", "/v1/models", &[], "").await.assert_error(503, "ServiceUnavailable");
    assert_eq!(call(sidecar.address, "GET", "/health", &[], "").await.status, 200);
}

#[tokio::test]
async fn a_decode_engine_that_breaks_off_is_a_bad_gateway() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let engine = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Long enough for the request to be sent, so that it cannot count as never tried.
            stream.readable().await.unwrap();
            drop(stream);
        }
    });
    let sidecar = sidecar(engine, &[]).await;
    call(sidecar.address, "GET", "/v1/models", &[], "").await.assert_error(502, "BadGateway");
    server.abort();
}

#[tokio::test]
async fn a_decode_engine_that_hangs_meets_its_deadline() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sidecar = sidecar(listener.local_addr().unwrap(), &["--response-timeout=50ms"]).await;
    call(sidecar.address, "GET", "/v1/models", &[], "").await.assert_error(504, "GatewayTimeout");
}

#[tokio::test]
async fn large_bodies_are_refused_and_small_ones_pass() {
    let decode = FakeEngine::json("{}").await;
    let sidecar = sidecar(decode.address, &["--max-body-bytes=1Ki"]).await;
    let post = |size: usize| call(sidecar.address, "POST", "/v1/completions", &[], vec![b'x'; size]);
    post(1025).await.assert_error(413, "RequestEntityTooLarge");
    assert_eq!(post(1024).await.status, 200);
    let embeddings = call(sidecar.address, "POST", "/v1/embeddings", &[], vec![b'x'; 100_000]).await;
    assert_eq!(embeddings.status, 200, "what only streams through has no limit");
}
