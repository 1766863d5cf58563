use super::*;
use crate::llmisvc::combine::tests::{Configs, run, service};

const SERVICE: &str = "
metadata: {name: chat, namespace: models}
spec:
  model: {uri: 'hf://org/model'}
  baseRefs: [{name: base}]
  router: {scheduler: {}}
  template:
    nodeSelector: {example.com/pool: fast}
    containers:
      - name: main
        image: own:1
        args: [--own]
        env: [{name: HOME, value: /own}]
";

fn effective() -> Effective {
    let mut configs = Configs::default();
    configs.add(
        "kserve",
        "
metadata: {name: kserve-config-llm-template}
spec:
  template:
    terminationGracePeriodSeconds: 60
    containers:
      - {name: main, image: 'preset:{{ .Name }}', args: [--preset, --more], workingDir: /work}
",
    );
    configs.add(
        "kserve",
        "
metadata: {name: kserve-config-llm-scheduler}
spec: {router: {scheduler: {template: {containers: [{name: main, image: epp}]}}}}
",
    );
    configs.add(
        "models",
        "
metadata: {name: base}
spec: {template: {containers: [{name: main, image: base:1, env: [{name: HOME, value: /base}]}]}}
",
    );
    run(&service(SERVICE), &configs).unwrap()
}

fn sources(explanation: &Explanation) -> Vec<String> {
    explanation.below.iter().map(|it| format!("{}: {}", it.source, it.value)).collect()
}

#[test]
fn a_field_of_the_service_names_what_it_overrode() {
    let effective = effective();
    for path in [
        "template.containers[main].image",
        "spec.template.containers[name=main].image",
        "template.containers[0].image",
    ] {
        let explanation = explain(&effective, path).unwrap();
        assert_eq!(explanation.path, "spec.template.containers[main].image");
        assert_eq!(explanation.value, "own:1");
        assert_eq!(explanation.source, Source::Service);
        assert_eq!(
            sources(&explanation),
            [
                "UserRef models/base: \"base:1\"",
                "Preset kserve/kserve-config-llm-template: \"preset:{{ .Name }}\""
            ]
        );
    }
}

#[test]
fn a_field_of_a_preset_and_one_of_the_controller_say_so() {
    let effective = effective();
    let preset = explain(&effective, "template.containers[main].workingDir").unwrap();
    assert_eq!(preset.source.to_string(), "Preset kserve/kserve-config-llm-template");
    assert!(preset.below.is_empty());
    let added = explain(&effective, "router.scheduler.template.serviceAccountName").unwrap();
    assert_eq!(added.value, "chat-epp-sa");
    assert_eq!(added.source, Source::Controller);
}

#[test]
fn items_of_replaced_lists_show_the_lists_below() {
    let explanation = explain(&effective(), "template.containers[main].args[0]").unwrap();
    assert_eq!(explanation.value, "--own");
    assert_eq!(
        sources(&explanation),
        ["Preset kserve/kserve-config-llm-template: [\"--preset\",\"--more\"]"]
    );
}

#[test]
fn objects_name_the_highest_layer_and_what_each_gave() {
    let explanation = explain(&effective(), "template").unwrap();
    assert_eq!(explanation.source, Source::Service);
    assert_eq!(explanation.below.len(), 2);
}

#[test]
fn keys_of_maps_stand_in_brackets() {
    let explanation = explain(&effective(), "template.nodeSelector[example.com/pool]").unwrap();
    assert_eq!(explanation.value, "fast");
    assert_eq!(explanation.path, "spec.template.nodeSelector[example.com/pool]");
}

#[test]
fn unknown_paths_list_what_is_near() {
    let effective = effective();
    let message = |path| explain(&effective, path).unwrap_err().to_string();
    assert_eq!(
        message("template.containers[main].imge"),
        "no field \"imge\" in spec.template.containers[main]; there is: image, args, name, env, workingDir"
    );
    assert_eq!(
        message("template.containers[side]"),
        "no item [side] in spec.template.containers; there is: main"
    );
    assert_eq!(
        message("template.containers[main].image.tag"),
        "no field \"tag\" in spec.template.containers[main].image; there is: only the value \"own:1\""
    );
    assert_eq!(message("template..x"), "\"template..x\" is no path: an empty name");
    assert_eq!(message("template[x"), "\"template[x\" is no path: [ without ]");
}

proptest::proptest! {
    #[test]
    fn any_path_is_explained_or_refused(path in "(spec|template|containers|main|\\.|\\[|\\]|=|[0-9]|é){0,12}") {
        let _ = explain(&effective(), &path);
    }
}
