use crate::harness::{FakeEngine, Seen, call, complete, json, sidecar};

const KEEP: &str = r#"{"do_remote_decode":true,"do_remote_prefill":false,"remote_engine_id":null,"remote_block_ids":null,"remote_host":null,"remote_port":null}"#;

const PREFILL_ANSWER: &str = r#"{"id":"p","usage":{"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":4}},
    "kv_transfer_params": {"do_remote_prefill": true, "remote_port": 5600, "x": [1.0, 12345678901234567890]}}"#;

const PARAMS: &str = r#"{"do_remote_prefill": true, "remote_port": 5600, "x": [1.0, 12345678901234567890]}"#;

/// Runs one request and returns what the prefill and the decode engine got, and the client.
async fn run(path: &str, body: &'static str) -> (Seen, Seen, String) {
    let prefill = FakeEngine::json(PREFILL_ANSWER).await;
    let decode = FakeEngine::json(r#"{"id":"d", "usage":{"prompt_tokens":9}}"#).await;
    let sidecar = sidecar(decode.address, &[]).await;
    let target = prefill.address.to_string();
    let headers = [
        ("x-prefiller-host-port", target.as_str()),
        ("authorization", "Bearer me"),
        ("accept-encoding", "gzip"),
    ];
    let reply = call(sidecar.address, "POST", path, &headers, body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    (prefill.only(), decode.only(), reply.text().to_owned())
}

#[tokio::test]
async fn both_bodies_are_exact() {
    let client =
        r#"{"model":"m", "prompt":"é", "max_tokens":7, "seed":9007199254740993, "stream_options":null}"#;
    let (prefill, decode, reply) = run("/v1/completions?q=1", client).await;
    assert_eq!(prefill.path, "/v1/completions?q=1");
    assert_eq!(
        prefill.text(),
        format!(
            r#"{{"model":"m", "prompt":"é", "max_tokens":1, "seed":9007199254740993,"kv_transfer_params":{KEEP},"stream":false,"max_completion_tokens":1,"min_tokens":1}}"#
        )
    );
    assert_eq!(
        decode.text(),
        format!(
            r#"{{"model":"m", "prompt":"é", "max_tokens":7, "seed":9007199254740993, "stream_options":null,"kv_transfer_params":{PARAMS}}}"#
        )
    );
    assert_eq!(
        reply,
        r#"{"id":"d", "usage":{"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":4}}}"#
    );
}

#[tokio::test]
async fn a_clients_own_transfer_params_are_replaced() {
    let client = r#"{"kv_transfer_params":{"remote_host":"evil"},"prompt":"x"}"#;
    let (prefill, decode, _) = run("/v1/completions", client).await;
    assert!(!prefill.text().contains("evil"));
    assert_eq!(decode.text(), format!(r#"{{"prompt":"x","kv_transfer_params":{PARAMS}}}"#));
}

#[tokio::test]
async fn each_api_caps_its_own_limits() {
    let (prefill, decode, _) = run("/v1/responses", r#"{"max_output_tokens":9}"#).await;
    assert_eq!(
        prefill.text(),
        format!(r#"{{"max_output_tokens":1,"kv_transfer_params":{KEEP},"stream":false}}"#)
    );
    assert_eq!(decode.text(), format!(r#"{{"max_output_tokens":9,"kv_transfer_params":{PARAMS}}}"#));

    let (prefill, decode, _) = run("/inference/v1/generate", r#"{"sampling_params":{"max_tokens":9}}"#).await;
    assert_eq!(
        prefill.text(),
        format!(
            r#"{{"sampling_params":{{"max_tokens":1,"min_tokens":1}},"kv_transfer_params":{KEEP},"stream":false}}"#
        )
    );
    assert_eq!(
        decode.text(),
        format!(r#"{{"sampling_params":{{"max_tokens":9}},"kv_transfer_params":{PARAMS}}}"#)
    );
}

#[tokio::test]
async fn headers_pass_to_both_legs_without_the_routing_ones() {
    let (prefill, decode, _) = run("/v1/messages", "{}").await;
    let id = prefill.header("x-request-id").unwrap();
    assert_eq!(id.len(), 36);
    assert_eq!(decode.header("x-request-id"), Some(id));
    for leg in [&prefill, &decode] {
        assert_eq!(leg.header("authorization"), Some("Bearer me"));
        assert_eq!(leg.header("x-prefiller-host-port"), None);
        assert_eq!(leg.header("accept-encoding"), None, "a compressed answer could not be read");
        assert_eq!(leg.header("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(leg.header("content-length"), Some(leg.body.len().to_string().as_str()));
        assert_eq!(leg.headers.get_all("x-request-id").iter().count(), 1);
    }
}

#[tokio::test]
async fn a_clients_request_id_stays() {
    let prefill = FakeEngine::json(PREFILL_ANSWER).await;
    let decode = FakeEngine::json("{}").await;
    let sidecar = sidecar(decode.address, &[]).await;
    let target = prefill.address.to_string();
    let headers = [("x-prefiller-host-port", target.as_str()), ("x-request-id", "mine")];
    call(sidecar.address, "POST", "/v1/completions", &headers, "{}").await;
    assert_eq!(prefill.only().header("x-request-id"), Some("mine"));
    assert_eq!(decode.only().header("x-request-id"), Some("mine"));
}

#[tokio::test]
async fn missing_transfer_params_become_null() {
    for answer in ["{}", r#"{"kv_transfer_params":null}"#] {
        let prefill = FakeEngine::json(answer).await;
        let decode = FakeEngine::json(r#"{"usage":{"prompt_tokens_details":{"cached_tokens":9}}}"#).await;
        let sidecar = sidecar(decode.address, &[]).await;
        let reply = complete(sidecar.address, &prefill.address.to_string(), r#"{"prompt":"x"}"#).await;
        assert_eq!(decode.only().text(), r#"{"prompt":"x","kv_transfer_params":null}"#);
        assert_eq!(reply.text(), r#"{"usage":{"prompt_tokens_details":{"cached_tokens":0}}}"#);
    }
}

#[tokio::test]
async fn an_empty_prefill_header_means_no_prefill() {
    let decode = FakeEngine::json(r#"{"usage":{}}"#).await;
    let sidecar = sidecar(decode.address, &[]).await;
    let body = r#"{"prompt": "x", "max_tokens":2}"#;
    let reply = complete(sidecar.address, "", body).await;
    assert_eq!(reply.text(), r#"{"usage":{}}"#, "nothing is rewritten without a prefill leg");
    assert_eq!(decode.only().text(), body);
    assert_eq!(decode.only().header("x-request-id"), None);
}

#[tokio::test]
async fn the_first_candidate_is_taken() {
    let first = FakeEngine::json(PREFILL_ANSWER).await;
    let second = FakeEngine::json(PREFILL_ANSWER).await;
    let decode = FakeEngine::json("{}").await;
    let sidecar = sidecar(decode.address, &[]).await;
    complete(sidecar.address, &format!("http://{}, {}", first.address, second.address), "{}").await;
    assert_eq!((first.seen().len(), second.seen().len(), decode.seen().len()), (1, 0, 1));
}

#[tokio::test]
async fn sampling_takes_each_candidate_at_times() {
    let first = FakeEngine::json(PREFILL_ANSWER).await;
    let second = FakeEngine::json(PREFILL_ANSWER).await;
    let decode = FakeEngine::json("{}").await;
    let sidecar = sidecar(decode.address, &["--enable-prefiller-sampling"]).await;
    let candidates = format!("{},{}", first.address, second.address);
    for _ in 0..64 {
        complete(sidecar.address, &candidates, "{}").await;
    }
    assert!(!first.seen().is_empty() && !second.seen().is_empty());
    assert_eq!(first.seen().len() + second.seen().len(), 64);
}

#[tokio::test]
async fn a_compressed_decode_answer_passes_untouched() {
    let prefill = FakeEngine::json(PREFILL_ANSWER).await;
    let decode = FakeEngine::start(|_, _| {
        let mut response = json(200, r#"{"usage":{}}"#);
        response.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
        response
    })
    .await;
    let sidecar = sidecar(decode.address, &[]).await;
    let reply = complete(sidecar.address, &prefill.address.to_string(), "{}").await;
    assert_eq!(reply.text(), r#"{"usage":{}}"#);
}

#[tokio::test]
async fn many_requests_at_once_stay_apart() {
    // Prefill names its blocks after the prompt, and decode answers with what it was given.
    let prefill = FakeEngine::start(|seen, _| {
        let body: serde_json::Value = serde_json::from_slice(&seen.body).unwrap();
        json(200, format!(r#"{{"kv_transfer_params":{{"of":{}}}}}"#, body["prompt"]))
    })
    .await;
    let decode = FakeEngine::start(|seen, _| json(200, seen.body.clone())).await;
    let sidecar = sidecar(decode.address, &[]).await;
    let (address, target) = (sidecar.address, prefill.address.to_string());
    let requests = (0..64).map(|index| {
        let headers = [("x-prefiller-host-port", target.as_str())];
        async move {
            let body = format!(r#"{{"prompt":{index}}}"#);
            let reply = call(address, "POST", "/v1/completions", &headers, body).await;
            let expected = format!(r#"{{"prompt":{index},"kv_transfer_params":{{"of":{index}}}}}"#);
            assert_eq!(reply.text(), expected);
        }
    });
    futures_util::future::join_all(requests).await;
}
