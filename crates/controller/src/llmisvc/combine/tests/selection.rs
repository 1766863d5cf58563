//! Which configs go in, in which order, under which names.

use super::*;

fn applied(spec: &str) -> Vec<String> {
    applied_with(spec, &Configs::presets())
}

fn applied_with(spec: &str, configs: &Configs) -> Vec<String> {
    let service = service(&format!("metadata: {{name: chat, namespace: models}}\nspec: {spec}"));
    let effective = run(&service, configs).unwrap();
    effective
        .applied
        .into_iter()
        .map(|it| it.name.trim_start_matches("kserve-config-llm-").to_owned())
        .collect()
}

#[test]
fn the_spec_chooses_the_presets_in_order() {
    let cases: &[(&str, &[&str])] = &[
        ("{}", &["template"]),
        ("{router: {scheduler: {}, route: {}}}", &["scheduler", "router-route", "template"]),
        ("{router: {scheduler: {pool: {ref: {name: p}}}}}", &["template"]),
        ("{router: {route: {http: {refs: [{name: r}]}}}}", &["template"]),
        ("{router: {gateway: {}}}", &["template"]),
        ("{tracing: {}}", &["tracing", "template"]),
        ("{prefill: {}}", &["prefill-template", "decode-template"]),
        ("{worker: {}, parallelism: {data: 2, dataLocal: 1}}", &["worker-data-parallel"]),
        (
            "{worker: {}, parallelism: {data: 2, dataLocal: 1}, prefill: {worker: {}, parallelism: {data: 2}}}",
            &["prefill-worker-data-parallel", "decode-worker-data-parallel"],
        ),
        ("{worker: {}}", &[]),
        ("{parallelism: {data: 2, dataLocal: 1}}", &["template"]),
    ];
    for (spec, presets) in cases {
        assert_eq!(applied(spec), *presets, "{spec}");
    }
}

#[test]
fn plugins_of_the_scheduler_choose_tokenizer_and_latency_predictor() {
    let with = |plugin: &str| {
        format!("{{router: {{scheduler: {{config: {{inline: {{plugins: [{{type: {plugin}}}]}}}}}}}}}}")
    };
    assert_eq!(applied(&with("queue-scorer")), ["scheduler", "template"]);
    assert_eq!(applied(&with("token-producer")), ["scheduler", "tokenizer", "template"]);
    assert_eq!(applied(&with("precise-prefix-cache-scorer")), ["scheduler", "tokenizer", "template"]);
    assert_eq!(
        applied(&with("predicted-latency-producer")),
        ["scheduler", "scheduler-latency-predictor", "template"]
    );
    assert_eq!(applied("{router: {scheduler: {tokenizer: {}}}}"), ["scheduler", "tokenizer", "template"]);
    for argument in ["--config-text='plugins: [{type: token-producer}]'", "--config-text", "-configText"] {
        let arguments = match argument.split_once('=') {
            Some((flag, text)) => format!("[\"{flag}={}\"]", text.trim_matches('\'')),
            None => format!("[{argument}, 'plugins: [{{type: token-producer}}]']"),
        };
        let spec = format!(
            "{{router: {{scheduler: {{template: {{containers: [{{name: main, args: {arguments}}}]}}}}}}}}"
        );
        assert_eq!(applied(&spec), ["scheduler", "tokenizer", "template"], "{argument}");
    }
}

#[test]
fn pipeline_parallel_presets_are_used_when_there_are_any() {
    let spec = "{worker: {}, parallelism: {pipeline: 2}}";
    let missing = run(
        &service(&format!("metadata: {{name: chat, namespace: models}}\nspec: {spec}")),
        &Configs::presets(),
    );
    assert_eq!(
        missing.unwrap_err().to_string(),
        "LLMInferenceServiceConfig \"kserve-config-llm-worker-pipeline-parallel\" not found in namespaces [models kserve]"
    );
    let mut configs = Configs::presets();
    for role in ["", "decode-", "prefill-"] {
        configs.add(
            "kserve",
            &format!("metadata: {{name: kserve-config-llm-{role}worker-pipeline-parallel}}\nspec: {{}}"),
        );
    }
    assert_eq!(applied_with(spec, &configs), ["worker-pipeline-parallel"]);
    let both = "{worker: {}, parallelism: {pipeline: 2}, prefill: {worker: {}, parallelism: {pipeline: 2}}}";
    assert_eq!(
        applied_with(both, &configs),
        ["prefill-worker-pipeline-parallel", "decode-worker-pipeline-parallel"]
    );
}

#[test]
fn base_refs_enable_sections_and_stand_between_presets_and_service() {
    let mut configs = Configs::presets();
    configs.add("models", "metadata: {name: base}\nspec: {tracing: {sampler: base}, replicas: 7}");
    let service = service(
        "metadata: {name: chat, namespace: models}\nspec: {baseRefs: [{name: base}], tracing: {exporter: own}}",
    );
    let effective = run(&service, &configs).unwrap();
    let names: Vec<_> = effective.applied.iter().map(|it| (it.name.as_str(), it.source)).collect();
    assert_eq!(
        names,
        [
            ("kserve-config-llm-tracing", AppliedAs::Preset),
            ("kserve-config-llm-template", AppliedAs::Preset),
            ("base", AppliedAs::UserRef)
        ]
    );
    assert_eq!(effective.layers.len(), 4);
    assert!(effective.layers[3].config.is_none());
    assert_eq!(effective.spec.workload.replicas, Some(7));
    assert_eq!(json(&effective.spec.tracing), serde_json::json!({ "sampler": "base", "exporter": "own" }));
}

#[test]
fn a_config_of_the_service_s_namespace_hides_the_one_of_the_system() {
    let mut configs = Configs::presets();
    configs.add("models", "metadata: {name: kserve-config-llm-template}\nspec: {replicas: 9}");
    let effective = run(&service("metadata: {name: chat, namespace: models}\nspec: {}"), &configs).unwrap();
    assert_eq!(effective.applied[0].namespace, "models");
    assert_eq!(effective.spec.workload.replicas, Some(9));
}

#[test]
fn a_model_name_of_a_base_replaces_the_service_s() {
    let mut configs = Configs::presets();
    configs.add("models", "metadata: {name: base}\nspec: {model: {uri: 'hf://a/b', name: base}}");
    let name = |spec: &str| {
        let service = service(&format!("metadata: {{name: chat, namespace: models}}\nspec: {spec}"));
        run(&service, &configs).unwrap().spec.model.unwrap()
    };
    let model = name("{baseRefs: [{name: base}], model: {uri: '', name: chat}}");
    assert_eq!((model.name.as_deref(), model.uri.as_str()), (Some("base"), "hf://a/b"));
    assert_eq!(name("{model: {uri: 'hf://c/d', name: own}}").name.as_deref(), Some("own"));
    assert_eq!(name("{model: {uri: 'hf://c/d'}}").name.as_deref(), Some("chat"));
}

#[test]
fn pinned_names_win_except_for_the_route() {
    let mut configs = Configs::presets();
    configs.add("kserve", "metadata: {name: old-template}\nspec: {replicas: 4}");
    let mut service = service(
        "
metadata: {name: chat, namespace: models}
spec: {router: {route: {}}}
status:
  annotations:
    serving.kserve.io/config-llm-template: old-template
    serving.kserve.io/config-llm-router-route: old-route
    serving.kserve.io/config-llm-tracing: ''
    unrelated: x
",
    );
    let names = |service: &LLMInferenceService, installation: &Installation| {
        let effective = combine(service, &configs, installation, &ClusterSettings::default()).unwrap();
        (effective.applied.iter().map(|it| it.name.clone()).collect::<Vec<_>>(), effective.pins)
    };
    let (applied, pins) = names(&service, &Installation::default());
    assert_eq!(applied, ["kserve-config-llm-router-route", "old-template"]);
    assert_eq!(pins.len(), presets::WELL_KNOWN.len());
    assert_eq!(pins["serving.kserve.io/config-llm-template"], "old-template");
    assert_eq!(pins["serving.kserve.io/config-llm-tracing"], "kserve-config-llm-tracing");
    let unpinned = Installation { pin_presets: false, ..Installation::default() };
    let (applied, pins) = names(&service, &unpinned);
    assert_eq!(applied, ["kserve-config-llm-router-route", "kserve-config-llm-template"]);
    assert_eq!(pins.len(), 2);
    service.status = None;
    assert!(names(&service, &unpinned).1.is_empty());
}
