use std::fs;

use serde_json::json;

use super::*;

const PLAIN: &str = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}";
const PARTS: &str = "{% for m in messages %}{% for p in m.content %}({{ p.text }}){% endfor %}{% endfor %}";
const EITHER: &str = "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}\
                      {% for p in m.content %}({{ p.text }}){% endfor %}{% endif %}{% endfor %}";

fn parse(text: &str) -> ChatTemplate {
    ChatTemplate::new(
        vec![("default".to_owned(), text.to_owned())],
        SpecialTokens::default(),
        Limits::default(),
    )
    .unwrap()
}

fn render(template: &ChatTemplate, messages: &[Json]) -> Result<String, ChatTemplateError> {
    template.render(&RenderInput { messages, ..RenderInput::default() })
}

fn two_parts() -> Json {
    json!({"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]})
}

fn text() -> Json {
    json!({"role": "user", "content": "a"})
}

#[test]
fn content_takes_the_form_that_the_template_reads() {
    for (template, of_text, of_parts) in
        [(PLAIN, "<user>a", "<user>a\nb"), (PARTS, "(a)", "(a)(b)"), (EITHER, "a", "(a)(b)")]
    {
        let template = parse(template);
        assert_eq!(render(&template, &[text()]).unwrap(), of_text);
        assert_eq!(render(&template, &[two_parts()]).unwrap(), of_parts);
    }
}

#[test]
fn a_template_that_dumps_its_messages_is_given_text() {
    let template = parse("{{ messages | tojson }}");
    assert_eq!(render(&template, &[two_parts()]).unwrap(), r#"[{"role": "user", "content": "a\nb"}]"#);
}

#[test]
fn the_content_format_can_be_overruled() {
    let template = parse(EITHER).with_content_format(ContentFormat::String);
    assert_eq!(render(&template, &[two_parts()]).unwrap(), "a\nb");
    let template = template.with_content_format(ContentFormat::Openai);
    assert_eq!(render(&template, &[text()]).unwrap(), "(a)");
}

#[test]
fn absent_content_is_empty() {
    for content in [json!({"role": "assistant", "content": null}), json!({"role": "assistant"})] {
        assert_eq!(render(&parse(PLAIN), std::slice::from_ref(&content)).unwrap(), "<assistant>");
        assert_eq!(render(&parse(PARTS), &[content]).unwrap(), "");
    }
}

#[test]
fn arguments_of_tool_calls_are_objects() {
    let template = parse(
        "{% for m in messages %}{% for c in m.tool_calls %}{% for k, v in c.function.arguments.items() %}\
         {{ k }}={{ v }};{% endfor %}{% endfor %}{% endfor %}",
    );
    let call = |arguments: &str| {
        let function = json!({"name": "f", "arguments": arguments});
        json!({"role": "assistant", "tool_calls": [{"type": "function", "function": function}]})
    };
    assert_eq!(render(&template, &[call(r#"{"b": 1, "a": "x"}"#), call("")]).unwrap(), "b=1;a=x;");
    let error = render(&template, &[text(), call("{oops")]).unwrap_err();
    assert!(error.to_string().starts_with("messages[1].tool_calls[0].function.arguments is not valid JSON"));
}

#[test]
fn reasoning_is_known_under_each_of_its_names() {
    let template = parse(
        "{% for m in messages %}{{ m.reasoning }}{{ m.reasoning_content }}{{ m.thinking }}{% endfor %}",
    );
    for name in ["reasoning", "reasoning_content", "thinking"] {
        let message = json!({"role": "assistant", "content": "x", name: "r"});
        assert_eq!(render(&template, &[message]).unwrap(), "rrr");
    }
}

#[test]
fn null_members_are_as_good_as_absent() {
    let template = parse("{{ 'tool_calls' in messages[0] }}");
    assert_eq!(
        render(&template, &[json!({"role": "user", "content": "", "tool_calls": null})]).unwrap(),
        "False"
    );
}

#[test]
fn messages_of_the_wrong_shape_are_named() {
    let image = json!({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]});
    for (message, problem) in [
        (json!("hi"), "messages[0] must be an object"),
        (json!({"content": "hi"}), "messages[0].role must be a string"),
        (
            json!({"role": "user", "content": 7}),
            "messages[0].content must be a string, a list of parts or null",
        ),
        (image, "messages[0].content[0] is not a text part, and this model takes text only"),
    ] {
        assert_eq!(render(&parse(PLAIN), &[message]).unwrap_err().to_string(), problem);
    }
}

#[test]
fn a_template_cannot_run_or_write_without_end() {
    let limits = Limits { instructions: 10_000, output_bytes: 1000 };
    let build = |text: &str| {
        ChatTemplate::new(vec![("default".to_owned(), text.to_owned())], SpecialTokens::default(), limits)
            .unwrap()
    };
    let loops = build("{% for i in range(1000) %}{% for j in range(1000) %}{% endfor %}{% endfor %}");
    let writes = build("{% for i in range(500) %}{{ 'xxx' }}{% endfor %}");
    let recurses = build("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}");
    assert_eq!(
        render(&loops, &[text()]).unwrap_err().to_string(),
        "the chat template exceeds the limit of 10000 instructions"
    );
    assert_eq!(
        render(&writes, &[text()]).unwrap_err().to_string(),
        "the chat template exceeds the limit of 1000 output bytes"
    );
    assert!(matches!(
        render(&recurses, &[text()]),
        Err(ChatTemplateError::Render(_) | ChatTemplateError::Limit(_))
    ));
}

#[test]
fn a_template_can_read_no_file() {
    for reach in ["{% include '/etc/passwd' %}", "{% import 'x' as x %}", "{% extends 'base' %}"] {
        assert!(matches!(render(&parse(reach), &[text()]), Err(ChatTemplateError::Render(_))), "{reach}");
    }
}

#[test]
fn a_wrong_template_is_refused_at_load() {
    let templates = vec![("default".to_owned(), "{% if %}".to_owned())];
    let error = ChatTemplate::new(templates, SpecialTokens::default(), Limits::default()).unwrap_err();
    assert_eq!(error.to_string(), "the chat template \"default\" does not parse");
}

#[test]
fn clients_cannot_replace_the_messages_through_kwargs() {
    let kwargs =
        json!({"messages": [{"role": "user", "content": "other"}], "add_generation_prompt": true, "x": 1});
    let template = parse("{{ messages[0].content }} {{ add_generation_prompt }} {{ x }}");
    let messages = [text()];
    let input = RenderInput { messages: &messages, kwargs: kwargs.as_object(), ..RenderInput::default() };
    assert_eq!(template.render(&input).unwrap(), "a False 1");
}

#[test]
fn a_continued_message_must_be_there_to_continue() {
    let messages = [json!({"role": "assistant", "content": "so far"})];
    let input = RenderInput { messages: &messages, continue_final_message: true, ..RenderInput::default() };
    assert_eq!(parse(PLAIN).render(&input).unwrap(), "<assistant>so far");
    assert!(matches!(parse("nothing").render(&input), Err(ChatTemplateError::Continuation(_))));
    let both = RenderInput { add_generation_prompt: true, ..input };
    assert!(matches!(parse(PLAIN).render(&both), Err(ChatTemplateError::Continuation(_))));
    let none = RenderInput { messages: &[], ..input };
    assert!(matches!(parse(PLAIN).render(&none), Err(ChatTemplateError::Continuation(_))));
}

#[test]
fn named_templates_are_chosen_by_what_the_request_has() {
    let named = ["default", "tool_use", "rag"].map(|name| (name.to_owned(), name.to_owned()));
    let template = ChatTemplate::new(named.to_vec(), SpecialTokens::default(), Limits::default()).unwrap();
    let (messages, item) = ([text()], [json!({})]);
    let plain = RenderInput { messages: &messages, ..RenderInput::default() };
    assert_eq!(template.render(&plain).unwrap(), "default");
    assert_eq!(template.render(&RenderInput { documents: &item, ..plain }).unwrap(), "rag");
    assert_eq!(
        template.render(&RenderInput { tools: &item, documents: &item, ..plain }).unwrap(),
        "tool_use"
    );
    let no_default = ChatTemplate::new(named[1..].to_vec(), SpecialTokens::default(), Limits::default());
    assert!(
        matches!(no_default, Err(ChatTemplateError::NoDefault { names }) if names == ["tool_use", "rag"])
    );
}

#[test]
fn templates_are_found_wherever_a_folder_keeps_them() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let shows = |expected: &str| {
        let template = ChatTemplate::from_dir(dir).unwrap();
        assert_eq!(template.map(|template| render(&template, &[text()]).unwrap()).as_deref(), Some(expected));
    };
    assert!(ChatTemplate::from_dir(dir).unwrap().is_none());
    let list = json!([{"name": "default", "template": "list{{ eos_token }}"}, {"name": "tool_use", "template": "t"}]);
    let config = json!({"chat_template": list, "bos_token": "<s>"});
    fs::write(dir.join("tokenizer_config.json"), config.to_string()).unwrap();
    fs::write(
        dir.join("special_tokens_map.json"),
        r#"{"eos_token": {"content": "</s>"}, "bos_token": "other"}"#,
    )
    .unwrap();
    shows("list</s>");
    fs::write(dir.join("chat_template.json"), r#"{"chat_template": "json"}"#).unwrap();
    shows("json");
    fs::write(dir.join("chat_template.jinja"), "jinja {{ bos_token }}\n").unwrap();
    shows("jinja <s>");
    fs::create_dir(dir.join("additional_chat_templates")).unwrap();
    fs::write(dir.join("additional_chat_templates/rag.jinja"), "documents").unwrap();
    let template = ChatTemplate::from_dir(dir).unwrap().unwrap();
    let input = RenderInput { messages: &[], documents: &[json!({})], ..RenderInput::default() };
    assert_eq!(template.render(&input).unwrap(), "documents");

    let path = dir.join("mine.jinja");
    fs::write(&path, "from a file {{ bos_token }}").unwrap();
    let of_file = ChatTemplate::from_override(dir, path.to_str().unwrap()).unwrap();
    assert_eq!(render(&of_file, &[]).unwrap(), "from a file <s>");
    let of_text = ChatTemplate::from_override(dir, "inline {{ bos_token }}").unwrap();
    assert_eq!(render(&of_text, &[]).unwrap(), "inline <s>");
    let missing = ChatTemplate::from_override(dir, "no/such/file.jinja");
    assert!(matches!(missing, Err(ChatTemplateError::Source(ConfigError::Read { .. }))));
}
