use super::*;

#[track_caller]
fn check_prefill(api: Api, client: &str, expected: &str) {
    let body = prefill_body(&Object::parse(client.as_bytes()).unwrap(), api);
    assert_eq!(String::from_utf8(body).unwrap(), expected.replace("KEEP", KEEP_BLOCKS));
}

#[test]
fn the_kept_blocks_object_is_the_contracts() {
    let params: llmd_api::kv_transfer::KvTransferParams = serde_json::from_str(KEEP_BLOCKS).unwrap();
    assert!(params.do_remote_decode && !params.do_remote_prefill);
    let keys: serde_json::Map<String, serde_json::Value> = serde_json::from_str(KEEP_BLOCKS).unwrap();
    let null_keys = ["remote_engine_id", "remote_block_ids", "remote_host", "remote_port"];
    assert!(null_keys.iter().all(|&it| keys[it].is_null()));
    assert_eq!(keys.len(), 6);
}

#[test]
fn prefill_caps_every_chat_limit() {
    check_prefill(
        Api::Chat,
        r#"{"model":"m","messages":[],"max_tokens":100,"stream":true,"stream_options":{"include_usage":true},"seed":9007199254740993}"#,
        r#"{"model":"m","messages":[],"max_tokens":1,"stream":false,"seed":9007199254740993,"kv_transfer_params":KEEP,"max_completion_tokens":1,"min_tokens":1}"#,
    );
}

#[test]
fn prefill_adds_limits_the_client_left_out() {
    check_prefill(
        Api::Chat,
        r#"{"prompt":"x"}"#,
        r#"{"prompt":"x","kv_transfer_params":KEEP,"stream":false,"max_tokens":1,"max_completion_tokens":1,"min_tokens":1}"#,
    );
}

#[test]
fn prefill_of_the_responses_api() {
    check_prefill(
        Api::Responses,
        r#"{"input":"x","max_output_tokens":5,"max_tokens":7}"#,
        r#"{"input":"x","max_output_tokens":1,"max_tokens":7,"kv_transfer_params":KEEP,"stream":false}"#,
    );
}

#[test]
fn prefill_of_the_generate_api() {
    check_prefill(
        Api::Generate,
        r#"{"token_ids":[1],"sampling_params":{"max_tokens":5,"top_p":0.90}}"#,
        r#"{"token_ids":[1],"sampling_params":{"max_tokens":1,"top_p":0.90,"min_tokens":1},"kv_transfer_params":KEEP,"stream":false}"#,
    );
    let made =
        r#""kv_transfer_params":KEEP,"stream":false,"sampling_params":{"max_tokens":1,"min_tokens":1}"#;
    check_prefill(Api::Generate, "{}", &format!("{{{made}}}"));
    check_prefill(
        Api::Generate,
        r#"{"sampling_params":null}"#,
        r#"{"sampling_params":{"max_tokens":1,"min_tokens":1},"kv_transfer_params":KEEP,"stream":false}"#,
    );
    check_prefill(
        Api::Generate,
        r#"{"sampling_params":"wrong"}"#,
        r#"{"sampling_params":"wrong","kv_transfer_params":KEEP,"stream":false}"#,
    );
}

#[test]
fn decode_is_the_clients_body_with_the_answered_object() {
    let client = r#"{ "prompt":"x", "max_tokens": 4, "stream":true }"#;
    let object = Object::parse(client.as_bytes()).unwrap();
    let body = |params| String::from_utf8(decode_body(&object, params)).unwrap();
    assert_eq!(
        body(Some(r#"{ "remote_port":1, "new":[1e400] }"#)),
        r#"{ "prompt":"x", "max_tokens": 4, "stream":true,"kv_transfer_params":{ "remote_port":1, "new":[1e400] } }"#
    );
    assert_eq!(body(None), r#"{ "prompt":"x", "max_tokens": 4, "stream":true,"kv_transfer_params":null }"#);
}

#[track_caller]
fn check_reply(body: &str, params: Option<&str>, cached_tokens: u64) {
    let expected = PrefillReply { kv_transfer_params: params.map(str::to_owned), cached_tokens };
    assert_eq!(PrefillReply::parse(body.as_bytes()).unwrap(), expected, "{body}");
}

#[test]
fn reads_the_prefill_answer() {
    check_reply("{}", None, 0);
    check_reply(r#"{"kv_transfer_params":null,"usage":null}"#, None, 0);
    check_reply(r#"{"kv_transfer_params":{"a": 1.50}}"#, Some(r#"{"a": 1.50}"#), 0);
    check_reply(r#"{"usage":{"prompt_tokens_details":null}}"#, None, 0);
    check_reply(r#"{"usage":{"prompt_tokens_details":{"cached_tokens":null}}}"#, None, 0);
    check_reply(r#"{"usage":{"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":7}}}"#, None, 7);
    assert!(PrefillReply::parse(b"").is_err());
    assert!(PrefillReply::parse(b"<html>").is_err());
}
