//! Whole answers: the golden texts, and what every field of a response holds.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::server::{CHAT, COMPLETIONS, Server, golden, streamed_text};

const QUESTION: &str = "What is prefill?";

fn chat(extra: &Value) -> Value {
    let mut body = json!({"messages": [{"role": "user", "content": QUESTION}], "temperature": 0});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    body
}

/// All golden cases at once, whole and streamed: batching must not change a letter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn golden_texts_come_back_whole_and_streamed() {
    let server = Server::start(&["--dtype", "float32"]).await;
    let golden = golden();
    let cases = golden["chat"].as_array().unwrap().iter().chain(golden["raw"].as_array().unwrap());
    join_all(cases.map(|case| check_golden(&server, case))).await;
}

async fn check_golden(server: &Server, case: &Value) {
    let (path, mut body) = match case.get("messages") {
        Some(messages) => (CHAT, json!({"messages": messages})),
        None => (COMPLETIONS, json!({"prompt": case["prompt"]})),
    };
    body["temperature"] = json!(0);
    body["max_tokens"] = json!(96);
    body["return_token_ids"] = json!(true);
    let answer = server.ask(path, &body).await;
    let choice = &answer["choices"][0];
    let text = choice["message"]["content"].as_str().or_else(|| choice["text"].as_str());
    assert_eq!(text, case["text"].as_str());
    assert_eq!(choice["token_ids"], case["completion_token_ids"]);
    assert_eq!(choice["finish_reason"], case["finish_reason"]);
    assert_eq!(choice["stop_reason"], Value::Null);
    let n_prompt = case["prompt_token_ids"].as_array().unwrap().len();
    let n_answer = case["completion_token_ids"].as_array().unwrap().len();
    assert_eq!(answer["usage"]["prompt_tokens"], n_prompt);
    assert_eq!(answer["usage"]["completion_tokens"], n_answer);
    assert_eq!(answer["usage"]["total_tokens"], n_prompt + n_answer);

    body["stream"] = json!(true);
    let events = server.stream(path, &body).await;
    assert_eq!(streamed_text(&events, 0), case["text"].as_str().unwrap());
    let last = &events.last().unwrap()["choices"][0];
    assert_eq!(last["finish_reason"], case["finish_reason"]);
}

#[tokio::test]
async fn a_chat_completion_has_every_field() {
    let server = Server::start(&[]).await;
    let reply = server.post_with(CHAT, &[("x-request-id", "r1")], &chat(&json!({"max_tokens": 2}))).await;
    let mut answer = reply.json();
    assert!(answer["created"].take().as_u64().unwrap() > 1_700_000_000);
    assert_eq!(
        answer,
        json!({
            "id": "chatcmpl-r1", "object": "chat.completion", "created": null, "model": "llmd-tiny",
            "choices": [{
                "index": 0,
                "message": {
                    "role": "assistant", "content": "Prefill is", "refusal": null, "annotations": null,
                    "audio": null, "function_call": null, "reasoning": null
                },
                "logprobs": null, "finish_reason": "length", "stop_reason": null, "token_ids": null
            }],
            "service_tier": null, "system_fingerprint": null,
            "usage": {
                "prompt_tokens": 13, "total_tokens": 15, "completion_tokens": 2,
                "prompt_tokens_details": null, "completion_tokens_details": null
            },
            "prompt_logprobs": null, "prompt_token_ids": null, "kv_transfer_params": null
        })
    );
}

#[tokio::test]
async fn completions_number_their_choices_by_prompt() {
    let server = Server::start(&[]).await;
    let body = json!({
        "prompt": ["Prefill is", "The KV cache keeps"], "n": 2, "seed": 1, "max_tokens": 2, "request_id": "abc"
    });
    let answer = server.ask(COMPLETIONS, &body).await;
    assert_eq!(answer["id"], "cmpl-abc");
    assert_eq!(answer["object"], "text_completion");
    let indices: Vec<_> =
        answer["choices"].as_array().unwrap().iter().map(|it| it["index"].clone()).collect();
    assert_eq!(indices, [0, 1, 2, 3]);
    assert_eq!(answer["usage"]["prompt_tokens"], 8, "each prompt counts once");
    assert_eq!(answer["usage"]["completion_tokens"], 8);
    let token_prompts = json!({"prompt": [[0, 2029, 278], [0, 349, 445, 400, 829]], "temperature": 0});
    let texts = json!({"prompt": ["Prefill is", "The KV cache keeps"], "temperature": 0});
    let (by_ids, by_text) =
        (server.ask(COMPLETIONS, &token_prompts).await, server.ask(COMPLETIONS, &texts).await);
    assert_eq!(by_ids["choices"], by_text["choices"]);
    assert_eq!(by_ids["usage"]["completion_tokens"], 32, "sixteen tokens each by default");
}

#[tokio::test]
async fn a_seed_repeats_an_answer_and_choices_differ() {
    let server = Server::start(&[]).await;
    let body = chat(&json!({"temperature": 2.0, "seed": 7, "n": 2, "max_tokens": 12}));
    let (first, second) = (server.ask(CHAT, &body).await, server.ask(CHAT, &body).await);
    assert_eq!(first["choices"], second["choices"]);
    assert_ne!(first["choices"][0]["message"], first["choices"][1]["message"]);
}

#[tokio::test]
async fn a_stop_string_across_tokens_ends_the_answer() {
    let server = Server::start(&[]).await;
    let answer = server.ask(CHAT, &chat(&json!({"stop": ["nothing like it", "rst pha"]}))).await;
    let choice = &answer["choices"][0];
    assert_eq!(choice["message"]["content"], "Prefill is the fi");
    assert_eq!((&choice["finish_reason"], &choice["stop_reason"]), (&json!("stop"), &json!("rst pha")));
    let included = chat(&json!({"stop": "rst pha", "include_stop_str_in_output": true}));
    assert_eq!(
        server.ask(CHAT, &included).await["choices"][0]["message"]["content"],
        "Prefill is the first pha"
    );
    let later = chat(&json!({"stop": " ", "min_tokens": 4}));
    assert_eq!(server.ask(CHAT, &later).await["choices"][0]["message"]["content"], "Prefill is the first");
    server.wait_for("vllm:num_requests_running", 0.0).await;
    assert_eq!(server.metric("vllm:kv_cache_usage_perc").await, 0.0);
}

#[tokio::test]
async fn stop_tokens_bans_and_biases_reach_the_sampler() {
    let server = Server::start(&[]).await;
    let answer = server.ask(CHAT, &chat(&json!({"stop_token_ids": [673]}))).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "Prefill is the");
    assert_eq!(answer["choices"][0]["stop_reason"], 673);
    let banned = server.ask(CHAT, &chat(&json!({"bad_words": ["Prefill"], "max_tokens": 1}))).await;
    assert_ne!(banned["choices"][0]["message"]["content"], "Prefill");
    let allowed = chat(&json!({"allowed_token_ids": [673], "max_tokens": 2}));
    assert_eq!(server.ask(CHAT, &allowed).await["choices"][0]["message"]["content"], " first first");
    let biased = chat(&json!({"logit_bias": {"673": 100}, "max_tokens": 1}));
    assert_eq!(server.ask(CHAT, &biased).await["choices"][0]["message"]["content"], " first");
}

#[tokio::test]
async fn log_probabilities_agree_with_the_reference() {
    let server = Server::start(&["--dtype", "float32"]).await;
    let golden = golden();
    let case = golden["chat"].as_array().unwrap().iter().find(|it| it.get("top_logprobs").is_some()).unwrap();
    let body = json!({
        "messages": case["messages"], "temperature": 0, "max_tokens": 8, "logprobs": true, "top_logprobs": 5,
        "return_tokens_as_token_ids": true
    });
    let answer = server.ask(CHAT, &body).await;
    let content = answer["choices"][0]["logprobs"]["content"].as_array().unwrap();
    let expected = case["top_logprobs"].as_array().unwrap();
    assert_eq!(content.len(), expected.len());
    for (actual, expected) in content.iter().zip(expected) {
        let top = actual["top_logprobs"].as_array().unwrap();
        for (actual, expected) in top.iter().zip(expected.as_array().unwrap()) {
            assert_eq!(actual["token"], format!("token_id:{}", expected[0]));
            let difference = actual["logprob"].as_f64().unwrap() - expected[1].as_f64().unwrap();
            assert!(difference.abs() < 1e-3, "{actual} {expected}");
        }
        assert_eq!(actual["token"], top[0]["token"], "greedy takes the best");
    }
}

#[tokio::test]
async fn completion_log_probabilities_line_up_with_the_text() {
    let server = Server::start(&[]).await;
    let body =
        json!({"prompt": "Prefill is", "temperature": 0, "max_tokens": 3, "logprobs": 2, "echo": true});
    let answer = server.ask(COMPLETIONS, &body).await;
    let choice = &answer["choices"][0];
    let logprobs = &choice["logprobs"];
    assert_eq!(choice["text"], "Prefill is the first ph");
    assert_eq!(logprobs["tokens"], json!(["<|begin_of_text|>", "Prefill", " is", " the", " first", " ph"]));
    assert_eq!(logprobs["text_offset"], json!([0, 17, 24, 27, 31, 37]));
    assert_eq!(logprobs["token_logprobs"][0], Value::Null);
    assert_eq!(logprobs["top_logprobs"][0], Value::Null);
    for position in 1..6 {
        assert!(logprobs["token_logprobs"][position].as_f64().unwrap() <= 0.0);
        let name = logprobs["tokens"][position].as_str().unwrap();
        assert_eq!(logprobs["top_logprobs"][position][name], logprobs["token_logprobs"][position]);
    }
    let streamed = server.stream(COMPLETIONS, &json!({
        "prompt": "Prefill is", "temperature": 0, "max_tokens": 3, "logprobs": 2, "echo": true, "stream": true
    })).await;
    let offsets: Vec<Value> = streamed
        .iter()
        .filter_map(|it| it["choices"][0]["logprobs"]["text_offset"].as_array().cloned())
        .flatten()
        .collect();
    assert_eq!(Value::from(offsets), logprobs["text_offset"]);
    assert_eq!(streamed_text(&streamed, 0), "Prefill is the first ph");
}

#[tokio::test]
async fn log_probabilities_have_the_bytes_of_each_token() {
    let server = Server::start(&[]).await;
    let tokens = server.ask("/tokenize", &json!({"prompt": "é🦙!", "add_special_tokens": false})).await;
    let n_tokens = tokens["count"].as_u64().unwrap();
    assert!(n_tokens > 3, "the example must split characters");
    let body =
        json!({"prompt": "é🦙!", "add_special_tokens": false, "echo": true, "logprobs": 0, "max_tokens": 0});
    let logprobs = server.ask(COMPLETIONS, &body).await["choices"][0]["logprobs"].clone();
    let last = logprobs["text_offset"].as_array().unwrap().last().unwrap();
    assert_eq!(*last, 2, "the characters before the last token: {logprobs}");

    let bias: serde_json::Map<String, Value> =
        [(tokens["tokens"][n_tokens as usize - 2].to_string(), json!(100))].into_iter().collect();
    let body = json!({"logit_bias": bias, "temperature": 0, "max_tokens": 1, "logprobs": true});
    let token = server.ask(CHAT, &chat(&body)).await["choices"][0]["logprobs"]["content"][0].clone();
    let bytes = token["bytes"].as_array().unwrap();
    assert_eq!(bytes.last().unwrap(), "🦙".as_bytes().last().unwrap(), "{token}");
    assert_eq!(token["token"], "\u{fffd}".repeat(bytes.len()));
}

#[tokio::test]
async fn an_echo_of_no_tokens_is_the_prompt() {
    let server = Server::start(&[]).await;
    let body = json!({"prompt": "Prefill is", "max_tokens": 0, "echo": true, "logprobs": 0});
    let answer = server.ask(COMPLETIONS, &body).await;
    assert_eq!(answer["choices"][0]["text"], "Prefill is");
    assert_eq!(answer["choices"][0]["logprobs"]["tokens"].as_array().unwrap().len(), 3);
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    let no_tokens = json!({
        "prompt_tokens": 3, "total_tokens": 3, "completion_tokens": 0, "prompt_tokens_details": null,
        "completion_tokens_details": null
    });
    assert_eq!(answer["usage"], no_tokens);
    // The token that was sampled on the way is the model's end of turn, or a stop string: it does not show.
    let stopped = json!({
        "prompt": "Prefill is", "max_tokens": 0, "echo": true, "temperature": 0, "stop": " the", "stream": true,
        "stream_options": {"include_usage": true}
    });
    let events = server.stream(COMPLETIONS, &stopped).await;
    assert_eq!(streamed_text(&events, 0), "Prefill is");
    let (usage, chunks) = events.split_last().unwrap();
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "length");
    assert_eq!(chunks.last().unwrap()["choices"][0]["stop_reason"], Value::Null);
    assert_eq!(usage["usage"]["completion_tokens"], 0);
    let prompt_logprobs = chat(&json!({"prompt_logprobs": 1, "max_tokens": 1}));
    let answer = server.ask(CHAT, &prompt_logprobs).await;
    let positions = answer["prompt_logprobs"].as_array().unwrap();
    assert_eq!((positions.len(), &positions[0]), (13, &Value::Null));
    assert!(positions[1]["2"]["logprob"].is_number(), "{}", positions[1]);
}

#[tokio::test]
async fn cached_prompt_tokens_are_reported_when_asked_for() {
    let server = Server::start(&["--enable-prompt-tokens-details", "--block-size", "4"]).await;
    let body = chat(&json!({"max_tokens": 1}));
    let cached = |answer: Value| answer["usage"]["prompt_tokens_details"]["cached_tokens"].clone();
    assert_eq!(cached(server.ask(CHAT, &body).await), 0);
    assert_eq!(cached(server.ask(CHAT, &body).await), 12);
    let salted = chat(&json!({"max_tokens": 1, "cache_salt": "tenant"}));
    assert_eq!(cached(server.ask(CHAT, &salted).await), 0);
}

#[tokio::test]
async fn tools_reach_the_template() {
    let server = Server::start(&[]).await;
    let tool =
        json!({"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}});
    let count = async |extra: Value| server.ask(CHAT, &chat(&extra)).await["usage"]["prompt_tokens"].clone();
    let plain = count(json!({"max_tokens": 1})).await;
    let hidden = count(json!({"max_tokens": 1, "tools": [tool], "tool_choice": "none"})).await;
    let offered = count(json!({"max_tokens": 1, "tools": [tool]})).await;
    assert_eq!(plain, hidden);
    assert!(offered.as_u64() > plain.as_u64());
}

#[tokio::test]
async fn a_message_can_be_continued() {
    let server = Server::start(&[]).await;
    let body = json!({
        "messages": [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": "Prefill is the"}],
        "add_generation_prompt": false, "continue_final_message": true, "echo": true, "temperature": 0,
        "max_tokens": 1
    });
    let answer = server.ask(CHAT, &body).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "Prefill is the first");
}

#[tokio::test]
async fn tokens_and_text_turn_into_each_other() {
    let server = Server::start(&[]).await;
    let answer = server.ask("/tokenize", &json!({"prompt": "Prefill is", "return_token_strs": true})).await;
    let expected = json!({
        "count": 3, "max_model_len": 2048, "tokens": [0, 2029, 278], "token_strs": ["<|begin_of_text|>", "Prefill", "Ġis"]
    });
    assert_eq!(answer, expected);
    let text = server.ask("/detokenize", &json!({"model": "alias", "tokens": [2029, 278]})).await;
    assert_eq!(text, json!({"prompt": "Prefill is"}));
    let case = &golden()["chat"][2];
    let messages = server.ask("/tokenize", &json!({"messages": case["messages"]})).await;
    assert_eq!(messages["tokens"], case["prompt_token_ids"]);
}

#[tokio::test]
async fn models_list_every_served_name() {
    let server = Server::start(&[]).await;
    let list = server.get("/v1/models").await.json();
    let cards = list["data"].as_array().unwrap();
    assert_eq!(cards.iter().map(|it| it["id"].clone()).collect::<Vec<_>>(), ["llmd-tiny", "alias"]);
    assert_eq!((&cards[0]["max_model_len"], &cards[0]["owned_by"]), (&json!(2048), &json!("vllm")));
    let by_alias = server.ask(CHAT, &chat(&json!({"model": "alias", "max_tokens": 1}))).await;
    assert_eq!(by_alias["model"], "llmd-tiny");
}
