//! What templates see and whose texts are templates.

use super::*;

/// The texts that a preset's arguments become for a service.
fn arguments(spec: &str, templates: &[&str]) -> Result<Vec<String>, CombineError> {
    let mut configs = Configs::default();
    let args: Vec<_> = templates.iter().map(|it| json(it).to_string()).collect();
    configs.add(
        "kserve",
        &format!(
            "metadata: {{name: kserve-config-llm-template}}\nspec: {{template: {{containers: [{{name: main, args: [{}]}}]}}}}",
            args.join(", ")
        ),
    );
    let service =
        service(&format!("metadata: {{name: chat, namespace: models, labels: {{a: b}}}}\nspec: {spec}"));
    let effective = run(&service, &configs)?;
    Ok(effective.spec.workload.template.unwrap().containers.swap_remove(0).args.unwrap_or_default())
}

#[test]
fn templates_see_the_service_and_its_installation() {
    let texts = arguments(
        "{model: {uri: 'hf://a/b', name: m}, parallelism: {data: 8, dataLocal: 2}, router: {}}",
        &[
            "{{ .Name }}/{{ .Namespace }}/{{ .ObjectMeta.Name }}",
            "{{ .Spec.Model.Name }} {{ .Spec.Model.URI }}",
            "{{ .Spec.Parallelism.GetSize }} {{ .Spec.Parallelism.DataLocal }}",
            "{{ .Labels.a }}",
            "{{ .GlobalConfig.SystemNamespace }} {{ .GlobalConfig.IngressGatewayNamespace }}/{{ .GlobalConfig.IngressGatewayName }}",
            "{{ .GlobalConfig.InferencePoolNamespacedName }} {{ .GlobalConfig.EnableTLS }}",
            "{{ ChildName .ObjectMeta.Name `-x` }}",
        ],
    );
    assert_eq!(
        texts.unwrap(),
        [
            "chat/models/chat",
            "m hf://a/b",
            "4 2",
            "b",
            "kserve kserve/kserve-ingress-gateway",
            "models/chat-inference-pool false",
            "chat-x"
        ]
    );
}

#[test]
fn templates_that_make_nothing_leave_no_argument() {
    let texts = arguments("{}", &["a", "{{ if .GlobalConfig.EnableTLS }}--tls{{ end }}", "", "b"]).unwrap();
    assert_eq!(texts, ["a", "", "b"]);
}

#[test]
fn texts_of_the_service_are_no_templates() {
    let mut configs = Configs::default();
    configs.add(
        "kserve",
        "metadata: {name: kserve-config-llm-template}\nspec: {template: {containers: [{name: main, image: '{{ .Name }}', workingDir: '/{{ .Name }}'}]}}",
    );
    let service = service(
        "
metadata: {name: chat, namespace: models, annotations: {note: '{{ nonsense'}}
spec: {template: {containers: [{name: main, image: '{{ .Name }}', args: ['{{ messages }}', '']}]}}
",
    );
    let container =
        run(&service, &configs).unwrap().spec.workload.template.unwrap().containers.swap_remove(0);
    assert_eq!(container.image.as_deref(), Some("{{ .Name }}"));
    assert_eq!(container.working_dir.as_deref(), Some("/chat"));
    assert_eq!(container.args.unwrap(), ["{{ messages }}", ""]);
}

#[test]
fn an_error_names_config_field_and_cause() {
    let message = |template: &str| arguments("{}", &[template]).unwrap_err().to_string();
    let start = "config kserve/kserve-config-llm-template: field spec.template.containers[0].args[0]: ";
    assert!(
        message("{{ env `HOME` }}")
            .starts_with(&format!("{start}unknown function \"env\": known are ChildName"))
    );
    assert_eq!(message("{{ .Spec.Paralelism }}"), format!("{start}unknown field .Paralelism"));
    assert_eq!(message("{{ if .Name }}x"), format!("{start}template syntax: if without end"));
    assert_eq!(message("{{ .Labels.absent }}"), format!("{start}no entry with key \"absent\""));
}

#[test]
fn values_cannot_change_the_document() {
    let texts = arguments(
        r#"{model: {uri: 'hf://a/b', name: 'x", "y": "{{ .Name }}\n'}}"#,
        &["--name={{ .Spec.Model.Name }}", "--second"],
    );
    assert_eq!(texts.unwrap(), [r#"--name=x", "y": "{{ .Name }}\n"#, "--second"]);
}

#[test]
fn the_scheduler_gets_selector_port_and_account() {
    let mut configs = Configs::presets();
    configs.add("kserve", "metadata: {name: kserve-config-llm-scheduler}\nspec: {router: {scheduler: {template: {}, pool: {spec: {endpointPickerRef: {name: epp}}}}}}");
    let service = service("metadata: {name: chat, namespace: models}\nspec: {router: {scheduler: {}}}");
    let scheduler = run(&service, &configs).unwrap().spec.router.unwrap().scheduler.unwrap();
    assert_eq!(scheduler.template.unwrap().service_account_name.as_deref(), Some("chat-epp-sa"));
    let pool = scheduler.pool.unwrap().spec.unwrap();
    assert_eq!(pool.endpoint_picker_ref.unwrap().port.unwrap().number, 9002);
    assert_eq!(
        json(&pool.selector.match_labels),
        serde_json::json!({
            "app.kubernetes.io/name": "chat",
            "app.kubernetes.io/part-of": "llminferenceservice",
            "kserve.io/component": "workload",
        })
    );
}

#[test]
fn combining_twice_gives_the_same_bytes() {
    let Some(presets) = upstream_presets() else { return };
    let service = service(
        "metadata: {name: chat, namespace: models}\nspec: {router: {route: {}, scheduler: {tokenizer: {}}}, prefill: {}}",
    );
    let text = || serde_json::to_string(&run(&service, &presets).unwrap().spec).unwrap();
    assert_eq!(text(), text());
}
