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
                "slice", "printf", "kvTransferConfig", "shutdownTimeout", "ChildName", " ", "\n", "é", "/*", "*/",
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
}
