//! `openai-parser`: the OpenAI API.
//!
//! Reads what routing needs (model, prompt, cache salt) in one pass that borrows the text. Shapes are checked as
//! far as the llm-d router does; everything else is for the engine to judge.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::config::ConfigError;
use crate::config::build::Build;
use crate::plugin::{Extension, ParseError, ParsedBody, Parser};
use crate::plugins::parser::{model, read_object, text};
use crate::request::Prompt;
use crate::request::json::Json;

#[derive(Debug, Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow)]
    cache_salt: Option<&'a RawValue>,
    #[serde(borrow, default)]
    messages: Json<'a>,
    #[serde(borrow, default)]
    prompt: Json<'a>,
    #[serde(borrow, default)]
    instructions: Json<'a>,
    #[serde(borrow, default)]
    input: Json<'a>,
    #[serde(borrow, default)]
    items: Json<'a>,
}

/// See the module.
#[derive(Debug)]
pub struct OpenaiParser;

impl Parser for OpenaiParser {
    fn suffixes(&self) -> &'static [&'static str] {
        &[
            "chat/completions",
            "completions",
            "embeddings",
            "responses",
            "conversations",
            "chat/completions/render",
            "completions/render",
            "images/generations",
        ]
    }

    fn parse<'a>(&self, suffix: &str, body: &'a [u8]) -> Result<ParsedBody<'a>, ParseError> {
        let fields: Body<'a> = read_object(body)?;
        let model = model(body, fields.model)?;
        let cache_salt = fields.cache_salt.and_then(|raw| text(raw.get())).unwrap_or(Cow::Borrowed(""));
        let mut prompt = Prompt::default();
        // Tools stand first, because chat templates put them first: a conversation that grows keeps its prefix.
        if let Some(tools) = fields.tools {
            prompt.push_text(Cow::Borrowed(tools.get()));
        }
        let (api, field, value) = match suffix {
            "chat/completions" | "chat/completions/render" => {
                ("chat completions", "valid messages", non_empty_array(fields.messages))
            }
            "completions" | "completions/render" => ("completions", "prompt", fields.prompt),
            "images/generations" => ("images generations", "prompt", fields.prompt),
            "embeddings" => ("embeddings", "input", fields.input),
            "conversations" => ("conversations", "items", fields.items),
            _ => {
                push(&mut prompt, fields.instructions);
                ("responses", "input", fields.input)
            }
        };
        if value == Json::Null {
            return Err(ParseError::Field { api, field });
        }
        push(&mut prompt, value);
        Ok(ParsedBody { model: Some(model), cache_salt, prompt })
    }
}

fn non_empty_array(value: Json<'_>) -> Json<'_> {
    match value {
        Json::Array(items) if !items.is_empty() => Json::Array(items),
        _ => Json::Null,
    }
}

/// Adds what the engine will see of a prompt, message or content part: every text in it, in order, token ids,
/// and media by their URL.
fn push<'a>(prompt: &mut Prompt<'a>, value: Json<'a>) {
    match value {
        Json::Text(text) => prompt.push_text(text),
        Json::Tokens(ids) => prompt.push_tokens(&ids),
        Json::Array(items) => items.into_iter().for_each(|it| push(prompt, it)),
        Json::Object(members) => {
            for (key, value) in members {
                match &*key {
                    // The kind of a part is implied by its content.
                    "type" => {}
                    "image_url" | "video_url" | "audio_url" | "input_audio" => push_media(prompt, &value),
                    _ => push(prompt, value),
                }
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

fn push_media(prompt: &mut Prompt<'_>, value: &Json<'_>) {
    let url = value.as_text().or_else(|| value.member("url").or_else(|| value.member("data"))?.as_text());
    if let Some(url) = url {
        prompt.push_media(url);
    }
}

pub(crate) fn build(build: &mut Build<'_, '_>) -> Result<Extension, ConfigError> {
    build.no_parameters()?;
    Ok(Extension::Parser(Arc::new(OpenaiParser)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse<'a>(suffix: &str, body: &'a str) -> Result<ParsedBody<'a>, String> {
        OpenaiParser.parse(suffix, body.as_bytes()).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn check_prompt(suffix: &str, body: &str, expected: &[u8]) {
        let parsed = parse(suffix, body).unwrap();
        assert_eq!(parsed.prompt.bytes().flatten().copied().collect::<Vec<u8>>(), expected, "{body}");
    }

    #[track_caller]
    fn check_error(suffix: &str, body: &str, expected: &str) {
        assert_eq!(parse(suffix, body).unwrap_err(), expected, "{body}");
    }

    #[test]
    fn reads_prompts_of_every_shape() {
        check_prompt("completions", r#"{"model":"m","prompt":"abc"}"#, b"abc");
        check_prompt("completions", r#"{"model":"m","prompt":["ab","c"]}"#, b"abc");
        check_prompt("completions", r#"{"model":"m","prompt":[1,256]}"#, &[1, 0, 0, 0, 0, 1, 0, 0]);
        check_prompt("completions", r#"{"model":"m","prompt":[[1],[2]]}"#, &[1, 0, 0, 0, 2, 0, 0, 0]);
        check_prompt("responses", r#"{"input":"b","instructions":"a","model":"m"}"#, b"ab");
        check_prompt("embeddings", r#"{"model":"m","input":["x","y"]}"#, b"xy");
        check_prompt(
            "chat/completions",
            r#"{"messages":[{"role":"user","content":"hi \u00e9"},
                {"role":"user","content":[{"type":"text","text":"yo"}]}],"model":"m","tools":[{"a":1}]}"#,
            "[{\"a\":1}]userhi \u{e9}useryo".as_bytes(),
        );
    }

    #[test]
    fn an_image_counts_by_its_url() {
        let body = r#"{"model":"m","messages":[{"role":"user","content":[
            {"type":"image_url","image_url":{"url":"http://x/y.png"}},{"type":"text","text":"what?"}]}]}"#;
        assert_eq!(parse("chat/completions", body).unwrap().prompt.n_tokens(), 225 + 3);
    }

    #[test]
    fn points_at_the_model_in_the_body() {
        let body = r#" { "messages":[{"content":"\"model\":\"x\""}], "model" : "the-model" }"#;
        let (name, span) = parse("chat/completions", body).unwrap().model.unwrap();
        assert_eq!(name, "the-model");
        assert_eq!(&body[span], "\"the-model\"");
    }

    #[test]
    fn refuses_what_the_router_refuses() {
        check_error("completions", r#"{"prompt":"a"}"#, "model not found in request body");
        check_error("completions", r#"{"prompt":"a","model":7}"#, "model not found in request body");
        check_error("completions", r#"{"prompt":"a","model":""}"#, "model not found in request body");
        let chat = "invalid chat completions request: must have valid messages field";
        check_error("chat/completions", r#"{"model":"m"}"#, chat);
        check_error("chat/completions", r#"{"model":"m","messages":"hi"}"#, chat);
        check_error("chat/completions", r#"{"model":"m","messages":[]}"#, chat);
        check_error("completions", r#"{"model":"m"}"#, "invalid completions request: must have prompt field");
        check_error("embeddings", r#"{"model":"m"}"#, "invalid embeddings request: must have input field");
        check_error("completions", "[1]", "error unmarshaling request bodyMap: expected a JSON object");
        check_error("completions", "", "error unmarshaling request bodyMap: expected a JSON object");
    }

    #[test]
    fn refuses_a_body_that_means_two_models() {
        let error = parse("completions", r#"{"model":"a","prompt":"x","model":"b"}"#).unwrap_err();
        assert!(error.contains("duplicate field `model`"), "{error}");
    }

    #[test]
    fn refuses_text_that_is_not_unicode() {
        let error = OpenaiParser.parse("completions", b"{\"model\":\"m\",\"prompt\":\"\xff\"}").unwrap_err();
        assert!(error.to_string().starts_with("error unmarshaling request bodyMap: "), "{error}");
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(
            body in "\\{?(\"(model|messages|prompt|content|image_url|\\\\u00e9)\"|[:,\\[\\]{} 0-9]|null){0,30}\\}?",
            suffix in prop::sample::select(OpenaiParser.suffixes()),
        ) {
            if let Ok(ParsedBody { model: Some((name, span)), .. }) = OpenaiParser.parse(suffix, body.as_bytes()) {
                prop_assert_eq!(serde_json::from_str::<String>(&body[span]).unwrap(), name);
            }
        }

        #[test]
        fn any_text_is_read_as_it_was_written(content in ".*", model in ".+", before in any::<bool>()) {
            let messages = serde_json::json!([{"role": "", "content": content}]).to_string();
            let name = serde_json::Value::from(model.as_str()).to_string();
            let body = if before {
                format!(r#"{{"model":{name},"messages":{messages}}}"#)
            } else {
                format!(r#"{{"messages":{messages},"model":{name}}}"#)
            };
            let parsed = OpenaiParser.parse("chat/completions", body.as_bytes()).unwrap();
            let (found, span) = parsed.model.unwrap();
            prop_assert_eq!(&*found, &*model);
            prop_assert_eq!(&body[span], &*name);
            let bytes: Vec<u8> = parsed.prompt.bytes().flatten().copied().collect();
            prop_assert_eq!(bytes, content.as_bytes());
        }
    }
}
