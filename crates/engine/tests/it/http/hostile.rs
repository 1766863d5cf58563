//! Whatever a body holds, the answer is a 200 or a 4xx with the error object, and the server lives on.

use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

use super::server::{CHAT, COMPLETIONS, Server};

/// Requests sent to each endpoint.
const CASES: usize = 300;

const FIELDS: [&str; 45] = [
    "messages",
    "prompt",
    "model",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "seed",
    "n",
    "best_of",
    "stop",
    "stop_token_ids",
    "include_stop_str_in_output",
    "ignore_eos",
    "min_tokens",
    "logit_bias",
    "allowed_token_ids",
    "bad_words",
    "skip_special_tokens",
    "truncate_prompt_tokens",
    "truncation_side",
    "prompt_logprobs",
    "priority",
    "request_id",
    "cache_salt",
    "return_token_ids",
    "kv_transfer_params",
    "stream",
    "stream_options",
    "max_completion_tokens",
    "logprobs",
    "top_logprobs",
    "tools",
    "tool_choice",
    "echo",
    "add_generation_prompt",
    "continue_final_message",
    "documents",
    "chat_template_kwargs",
    "response_format",
    "suffix",
    "add_special_tokens",
];

/// Values that are right for some field, wrong for most, or at an edge.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..4).prop_map(Value::from),
        prop_oneof![Just(i64::MAX), Just(i64::MIN), Just(2048), Just(4_294_967_296)].prop_map(Value::from),
        prop_oneof![Just(0.5), Just(-0.0), Just(1e308), Just(1e-308)].prop_map(Value::from),
        "[a-z{}%<|>é🦙\\\\\u{0}]{0,12}".prop_map(Value::from),
        Just(json!({"role": "user", "content": "hi"})),
        Just(json!([{"role": "user", "content": "hi"}])),
        Just(json!({"type": "function", "function": {"name": "f"}})),
        Just(json!({"do_remote_decode": true})),
        Just(json!({"do_remote_prefill": true, "remote_host": "127.0.0.1", "remote_port": 1})),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec(("[a-z]{1,6}|role|content|type|text|5", inner), 0..3)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn body() -> impl Strategy<Value = Map<String, Value>> {
    let fields = prop::collection::vec((prop::sample::select(&FIELDS[..]), value()), 0..6);
    fields.prop_map(|fields| {
        let mut body = Map::from_iter([
            ("messages".to_owned(), json!([{"role": "user", "content": "hi"}])),
            ("prompt".to_owned(), json!("hi")),
        ]);
        body.extend(fields.into_iter().map(|(name, value)| (name.to_owned(), value)));
        // Bounds the time that accepted requests take.
        body.insert("max_tokens".to_owned(), json!(2));
        if body.get("max_completion_tokens").and_then(Value::as_i64).is_some_and(|it| it > 2) {
            body.remove("max_completion_tokens");
        }
        body
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_body_breaks_the_server() {
    let server = Server::start(&["--max-num-queued-reqs", "100000"]).await;
    let mut runner = TestRunner::deterministic();
    let strategy = body();
    let mut statuses = std::collections::BTreeMap::<u16, usize>::new();
    for case in 0..2 * CASES {
        let body = strategy.new_tree(&mut runner).unwrap().current();
        let body = Value::Object(body);
        let path = if case % 2 == 0 { CHAT } else { COMPLETIONS };
        let reply = server.post(path, &body).await;
        let status = reply.status.as_u16();
        assert!(status == 200 || status == 400 || status == 404, "{status} {} for {body}", reply.text());
        if status != 200 {
            assert_eq!(reply.json()["error"]["code"], status, "{body}");
        }
        *statuses.entry(status).or_default() += 1;
    }
    assert!(statuses[&200] > CASES / 10 && statuses[&400] > CASES / 10, "one-sided: {statuses:?}");
    server.wait_for("vllm:num_requests_running", 0.0).await;
    assert_eq!(server.get("/health").await.status.as_u16(), 200);
    assert!(server.stop(Duration::from_secs(5)).await);
}
