use proptest::prelude::*;
use serde_json::json;

use super::*;

fn context() -> Context {
    let root = json!({
        "Name": "chat",
        "Spec": {
            "model": { "uri": "hf://a/b", "name": "m" },
            "parallelism": { "tensor": 2, "dataRPCPort": 5555, "data": 8, "dataLocal": 2 },
            "template": { "terminationGracePeriodSeconds": 120 },
            "kvCacheOffloading": { "cpu": "10Gi", "evictionPolicy": "arc", "secondary": [{}, { "fileSystem": {} }] },
            "items": ["a", "b"],
            "nothing": {},
        },
        "Labels": { "a": "1", "b.c/d": "2" },
    });
    let fields = ["prefill", "worker", "expert", "tensor", "parallelism"].map(str::to_owned);
    Context { root, fields: fields.into() }
}

fn rendered(text: &str) -> String {
    render(text, &context()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refused(text: &str) -> String {
    render(text, &context()).unwrap_err().to_string()
}

#[test]
fn texts_without_actions_stay() {
    assert_eq!(rendered("a } }} { b"), "a } }} { b");
    assert_eq!(rendered(""), "");
}

#[test]
fn fields_print_as_in_go() {
    let cases = [
        ("{{.Name}}", "chat"),
        ("{{ .Spec.Model.URI }}", "hf://a/b"),
        ("{{ $.Spec.Parallelism.DataRPCPort }}", "5555"),
        ("{{ (.Spec).Model.Name }}", "m"),
        ("{{ .Spec.Parallelism.GetSize }}", "4"),
        ("{{ .Spec.Parallelism.IsPipelineParallel }}", "false"),
        ("{{ .Spec.Items }}", "[a b]"),
        ("{{ .Labels.a }}{{ index .Labels `b.c/d` }}{{ index .Labels `x` }}", "12"),
        ("{{ `raw \\n` }}{{ \"quoted \\\"\\n\" }}{{ 7 }}{{ -1.5 }}{{ true }}", "raw \\nquoted \"\n7-1.5true"),
    ];
    for (text, expected) in cases {
        assert_eq!(rendered(text), expected, "{text}");
    }
}

#[test]
fn absent_values_are_absent_all_the_way_and_print_nothing() {
    assert_eq!(rendered("[{{ .Spec.Prefill.Parallelism.Tensor }}]"), "[]");
    assert_eq!(rendered("{{ if .Spec.Prefill }}a{{ else }}b{{ end }}"), "b");
    assert_eq!(rendered("{{ or .Spec.Prefill.Parallelism.Tensor 1 }}"), "1");
    assert_eq!(
        rendered("{{ eq .Spec.Prefill.Parallelism.Tensor 0 }}{{ eq .Spec.Parallelism.Expert false }}"),
        "truetrue"
    );
}

#[test]
fn names_that_do_not_exist_are_mistakes() {
    assert_eq!(refused("{{ .Spec.Paralelism }}"), "unknown field .Paralelism");
    assert_eq!(refused("{{ .Labels.x }}"), "no entry with key \"x\"");
    assert_eq!(refused("{{ .Name.First }}"), "unknown field .First of chat");
}

#[test]
fn conditions_take_the_first_branch_that_holds() {
    let text = |tensor: &str| {
        rendered(&format!(
            "{{{{ if eq {tensor} 1 }}}}a{{{{ else if eq {tensor} 2 }}}}b{{{{ else }}}}c{{{{ end }}}}"
        ))
    };
    assert_eq!(text("1"), "a");
    assert_eq!(text(".Spec.Parallelism.Tensor"), "b");
    assert_eq!(text("3"), "c");
    assert_eq!(rendered("{{ if .Spec.Nothing }}a{{ end }}"), "a");
    assert_eq!(rendered("{{ with .Spec.Model }}{{ .Name }}{{ $.Name }}{{ else }}x{{ end }}"), "mchat");
    assert_eq!(rendered("{{ range .Spec.Items }}<{{ . }}>{{ else }}x{{ end }}"), "<a><b>");
    assert_eq!(
        rendered("{{ range .Spec.Prefill }}a{{ else }}x{{ end }}{{ range 3 }}{{ . }}{{ end }}"),
        "x012"
    );
}

#[test]
fn trim_markers_take_spaces_but_no_line_breaks() {
    assert_eq!(rendered("a  {{- .Name -}}  b"), "achatb");
    assert_eq!(rendered("a \\\n  {{- if .Name }} b{{- end }}\nc"), "a \\\n b\nc");
    assert_eq!(rendered("a {{/* note }} */}} b{{- /* x */ -}} c"), "a  bc");
    assert_eq!(rendered("{{-3}}"), "-3");
}

#[test]
fn functions_compute() {
    let cases = [
        ("{{ and 1 0 }}{{ and 1 2 }}{{ or 0 `` }}{{ or 0 3 }}{{ not 0 }}", "023true"),
        ("{{ or .Name .Labels.x }}", "chat"),
        (
            "{{ eq 1 2 1 }}{{ ne `a` `b` }}{{ lt 1 2 }}{{ le 2 2 }}{{ gt `b` `a` }}{{ ge 1 2 }}",
            "truetruetruetruetruefalse",
        ),
        ("{{ len .Spec.Items }}{{ len `abc` }}{{ index .Spec.Items 1 }}", "23b"),
        ("{{ slice `abcdef` 1 3 }}{{ slice .Spec.Items 1 }}", "bc[b]"),
        ("{{ print 1 2 `a` 3 }}|{{ println `a` 1 }}", "1 2a3|a 1\n"),
        ("{{ printf `%s-%d%%%q` .Name 3 `x` }}", "chat-3%\"x\""),
        ("{{ `<a b&'\">` | html }}{{ `a b/é` | urlquery }}", "&lt;a b&amp;&#39;&#34;&gt;a+b%2F%C3%A9"),
        ("{{ .Name | printf `%s-%s` `x` | len }}", "6"),
        ("{{ ChildName .Name `-kserve` }}", "chat-kserve"),
        (
            "{{ shutdownTimeout .Spec.Template 15 }} {{ shutdownTimeout nil 15 }} {{ shutdownTimeout .Spec.Worker 90 }}",
            "100 40 0",
        ),
        ("{{ kvTransferConfig .Spec.Prefill.KVCacheOffloading }}", ""),
    ];
    let mut context = context();
    context.fields.insert("kvcacheoffloading".to_owned());
    for (text, expected) in cases {
        assert_eq!(render(text, &context).unwrap(), expected, "{text}");
    }
}

#[test]
fn the_kv_transfer_flag_survives_a_quoted_assignment() {
    assert_eq!(
        rendered("{{ kvTransferConfig .Spec.KVCacheOffloading }}").replace("\\\"", "\""),
        r#"--kv-transfer-config '{"kv_connector":"OffloadingConnector","kv_connector_extra_config":{"cpu_bytes_to_use":10737418240,"eviction_policy":"arc","secondary_tiers":[{"root_dir":"/mnt/kv-cache-1","type":"fs"}],"spec_name":"TieringOffloadingSpec"},"kv_role":"kv_both"}'"#
    );
}

#[test]
fn the_kv_transfer_json_holds_every_connector_that_the_pod_needs() {
    let offloading = r#"{"kv_connector":"OffloadingConnector","kv_connector_extra_config":{"cpu_bytes_to_use":10737418240,"eviction_policy":"arc","secondary_tiers":[{"root_dir":"/mnt/kv-cache-1","type":"fs"}],"spec_name":"TieringOffloadingSpec"},"kv_role":"kv_both"}"#;
    let nixl = r#"{"kv_connector":"NixlConnector","kv_role":"kv_both"}"#;
    let both = format!(
        r#"{{"kv_connector":"MultiConnector","kv_connector_extra_config":{{"connectors":[{nixl},{offloading}]}},"kv_role":"kv_both"}}"#
    );
    let cases = [
        ("{{ kvTransferJson .Spec.KVCacheOffloading }}", offloading),
        ("{{ kvTransferJson .Spec.KVCacheOffloading `NixlConnector` }}", &both),
        ("{{ kvTransferJson nil `NixlConnector` }}", nixl),
        ("{{ kvTransferJson nil }}", ""),
    ];
    for (text, expected) in cases {
        assert_eq!(rendered(text), expected, "{text}");
    }
    assert_eq!(refused("{{ kvTransferJson nil 1 }}"), "kvTransferJson: connectors are named by texts");
}

#[test]
fn what_is_wrong_is_said() {
    let cases = [
        ("{{ .Name", "template syntax: {{ without }}"),
        ("{{ `a }}", "template syntax: {{ without }}"),
        ("{{ }}", "template syntax: empty action"),
        ("{{ if .Name }}", "template syntax: if without end"),
        ("{{ end }}", "template syntax: end or else without if, with or range"),
        ("{{ (.Name }}", "template syntax: ( without )"),
        ("{{ .Name) }}", "template syntax: ) without ("),
        ("{{ .Name .Name }}", "template syntax: only functions take arguments"),
        ("{{ .Name | .Name }}", "template syntax: only functions may follow |"),
        ("{{ 1x }}", "template syntax: bad number \"1x\""),
        ("{{ % }}", "template syntax: unexpected '%' at \"% \""),
        ("{{ $x := 1 }}", "not supported in templates: variables"),
        ("{{ template `x` }}", "not supported in templates: template"),
        ("{{ lt 1 `a` }}", "lt: only two numbers or two texts can be compared"),
        ("{{ not }}", "not: wrong number of arguments: 0"),
        ("{{ range 99999999 }}{{ end }}", "template takes too many steps"),
    ];
    for (text, expected) in cases {
        assert_eq!(refused(text), expected, "{text}");
    }
    assert!(
        refused("{{ if false }}{{ env `x` }}{{ end }}")
            .starts_with("unknown function \"env\": known are ChildName, and")
    );
}

#[test]
fn nesting_and_output_are_bounded() {
    assert_eq!(refused(&format!("{{{{ {} }}}}", "(".repeat(100))), "template is nested too deeply");
    assert_eq!(refused(&"{{ if 1 }}".repeat(100)), "template is nested too deeply");
    assert_eq!(refused(&"x".repeat(MAX_BYTES + 1)), "template is longer than 1 MiB");
    let long = format!("{{{{ range 60000 }}}}{}{{{{ end }}}}", "x".repeat(100));
    assert_eq!(refused(&long), "template makes more than 1 MiB");
    let nested = "{{ range 60000 }}{{ range 60000 }}{{ if 1 }}{{ end }}{{ end }}{{ end }}";
    assert_eq!(refused(nested), "template takes too many steps");
}

#[test]
fn values_that_nobody_prints_are_bounded_too() {
    let mut context = context();
    context.root["Name"] = "x".repeat(100_000).into();
    let doubled =
        format!("{{{{ with print .Name }}}}{}{}", "{{ with print . . }}".repeat(40), "{{ end }}".repeat(41));
    for text in [
        format!("{{{{ len (print {}) }}}}", "$ ".repeat(1000)),
        "{{ range 60000 }}{{ if eq $ $ }}{{ end }}{{ end }}".to_owned(),
        "{{ with print $ }}{{ range 60000 }}{{ if $.Name | html | len | lt 9 }}{{ end }}{{ end }}{{ end }}"
            .to_owned(),
        "{{ range 60000 }}{{ $.GetSize }}{{ end }}".to_owned(),
        doubled,
    ] {
        let error = render(&text, &context).unwrap_err().to_string();
        assert_eq!(error, "template copies more than 4 MiB", "{}", text.chars().take(80).collect::<String>());
    }
    for text in ["{{ .Name.First }}", "{{ range .Name }}{{ end }}", "{{ index .Name .Name }}"] {
        let error = render(text, &context).unwrap_err().to_string();
        assert!(error.len() < 300, "{text}: {} bytes", error.len());
    }
    // What is only looked at costs nothing.
    let looks = "{{ range 20000 }}{{ if and $ $.Name }}{{ len $.Name | not }}{{ end }}{{ end }}";
    assert_eq!(render(looks, &context).unwrap(), "false".repeat(20_000));
}

/// Texts, numbers, lists and maps of any content.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[\\x00-\\x7fé]{0,200}".prop_map(Value::from),
        Just(json!({ "cpu": "1Gi", "secondary": [{ "fileSystem": {} }, { "fileSystem": {} }] })),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{0,8}", inner, 0..6)
                .prop_map(|it| Value::Object(it.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text_is_rendered_or_refused(text in ".{0,80}") {
        let _ = render(&text, &context());
    }

    #[test]
    fn any_sequence_of_tokens_is_rendered_or_refused(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "{{", "}}", "{{-", "-}}", "if", "else", "end", "range", "with", ".", "$", ".Spec", ".Name", ".x",
                "(", ")", "|", "`a`", "\"b\"", "1", "-2", "true", "nil", "and", "or", "not", "eq", "index", "len",
                "slice", "printf", "kvTransferConfig", "kvTransferJson", "shutdownTimeout", "ChildName", " ", "\n", "é", "/*", "*/",
                "\\", "'", "%",
            ]),
            0..40,
        ),
        spaced in any::<bool>(),
    ) {
        let _ = render(&parts.join(if spaced { " " } else { "" }), &context());
    }

    #[test]
    fn text_outside_actions_is_kept(before in "[^{}]{0,20}", after in "[^{}]{0,20}") {
        prop_assert_eq!(render(&format!("{before}{{{{ .Name }}}}{after}"), &context()).unwrap(), format!("{before}chat{after}"));
    }

    #[test]
    fn no_function_makes_much_more_than_it_is_given(
        name in prop::sample::select(functions::NAMES),
        arguments in prop::collection::vec(values(), 0..4),
    ) {
        let size = |it: &Value| evaluator::size(it, usize::MAX);
        let given: usize = arguments.iter().map(size).sum();
        let arguments = arguments.iter().map(std::borrow::Cow::Borrowed).collect();
        if let Ok(made) = functions::call(name, arguments) {
            prop_assert!(size(&made) <= 6 * given + 512, "{name}: {} of {given}", size(&made));
        }
    }

    #[test]
    fn a_value_is_counted_up_to_the_limit(value in values(), limit in 0_usize..2000) {
        prop_assert_eq!(evaluator::size(&value, limit), evaluator::size(&value, usize::MAX).min(limit));
    }

    #[test]
    fn nested_copies_end_in_an_outcome_or_a_refusal(
        copies in prop::collection::vec(prop::sample::select(vec![
            "print . .", "printf `%q%q` . .", "html .", "urlquery .", "println . .", "slice . 0 2", "print $ .",
        ]), 0..60),
    ) {
        let opened: String = copies.iter().map(|it| format!("{{{{ with {it} }}}}")).collect();
        let text = format!("{opened}{{{{ . }}}}{}", "{{ end }}".repeat(copies.len()));
        match render(&text, &context()) {
            Ok(made) => prop_assert!(made.len() <= MAX_BYTES),
            Err(TemplateError::TooLarge(_) | TemplateError::Function { .. }) => {}
            Err(error) => prop_assert!(false, "{error}"),
        }
    }
}
