//! The demo model's golden file: prompts from messages and from raw text, id for id, and the texts of completions.

use std::path::PathBuf;

use llmd_tokenizer::{ChatTemplate, RenderInput, StreamDecoder, Tokenizer};
use serde_json::Value;

fn model() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../assets/models/llmd-tiny")
}

fn golden(kind: &str) -> Vec<Value> {
    let text =
        std::fs::read_to_string(model().join("golden.json")).expect("the golden file is in the repository");
    let file: Value = serde_json::from_str(&text).expect("the golden file is JSON");
    let cases = file[kind].as_array().expect("the golden file has cases of this kind").clone();
    assert!(!cases.is_empty());
    cases
}

fn ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).expect("a list of token ids")
}

#[test]
fn chat_prompts_have_the_golden_ids() {
    let tokenizer = Tokenizer::from_dir(model()).unwrap();
    let template = ChatTemplate::from_dir(model()).unwrap().unwrap();
    for case in golden("chat") {
        let messages = case["messages"].as_array().unwrap();
        let input = RenderInput { messages, add_generation_prompt: true, ..RenderInput::default() };
        let text = template.render(&input).unwrap();
        assert_eq!(tokenizer.encode(&text, false).unwrap(), ids(&case["prompt_token_ids"]), "{text}");
    }
}

#[test]
fn raw_prompts_have_the_golden_ids() {
    let tokenizer = Tokenizer::from_dir(model()).unwrap();
    for case in golden("raw") {
        let prompt = case["prompt"].as_str().unwrap();
        assert_eq!(tokenizer.encode(prompt, true).unwrap(), ids(&case["prompt_token_ids"]), "{prompt}");
    }
}

#[test]
fn completions_decode_to_the_golden_text_whole_and_streamed() {
    let tokenizer = Tokenizer::from_dir(model()).unwrap();
    for case in golden("chat").into_iter().chain(golden("raw")) {
        let completion = ids(&case["completion_token_ids"]);
        let text = case["text"].as_str().unwrap();
        assert_eq!(tokenizer.decode(&completion, true).unwrap(), text);
        let prompt = ids(&case["prompt_token_ids"]);
        let mut stream = StreamDecoder::after_prompt(tokenizer.clone(), &prompt, true).unwrap();
        let mut streamed: String = completion.iter().map(|&id| stream.push(id).unwrap()).collect();
        streamed += &stream.finish().unwrap();
        assert_eq!(streamed, text);
    }
}
