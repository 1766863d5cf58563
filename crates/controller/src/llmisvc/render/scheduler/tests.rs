use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::apis::Apis;
use crate::children::ChildKind;
use crate::live::{LiveChild, LiveDeployment, LiveDetail, LivePodTemplate};
use crate::llmisvc::facts::scheduler::ReferencedConfig;
use crate::llmisvc::render::testing;

const PLAIN: &str = include_str!("../../../../testdata/render/scheduler/plain.yaml");

fn plain() -> Service {
    testing::service(PLAIN)
}

fn scheduler(service: &mut Service) -> &mut SchedulerSpec {
    service.spec.router.as_mut().unwrap().scheduler.as_mut().unwrap()
}

fn main_args(service: &mut Service) -> &mut Vec<String> {
    scheduler(service).template.as_mut().unwrap().containers[0].args.get_or_insert_default()
}

fn set_live(service: &mut Service, selector: &[(&str, &str)], config_args: &[&str]) {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let deployment = LiveDeployment {
        selector: selector.iter().map(owned).collect(),
        pod: LivePodTemplate {
            scheduler_config_args: config_args.iter().map(|&it| it.to_owned()).collect(),
            ..LivePodTemplate::default()
        },
        ..LiveDeployment::default()
    };
    service.facts.live.children.push(LiveChild {
        kind: ChildKind::Deployment,
        namespace: Some("team".to_owned()),
        name: "qwen-kserve-router-scheduler".to_owned(),
        uid: String::new(),
        owner_uid: None,
        service: "qwen".to_owned(),
        resource_version: String::new(),
        generation: 1,
        deleting: false,
        digest: 0,
        adoptable: false,
        detail: LiveDetail::Deployment(Box::new(deployment)),
    });
}

fn body(service: &Service, kind: ChildKind) -> Option<Value> {
    render(service).into_iter().find(|it| it.kind == kind).map(|it| it.body)
}

/// Arguments of the endpoint picker's container.
fn rendered_args(service: &Service) -> Vec<String> {
    let deployment = body(service, ChildKind::Deployment).unwrap();
    serde_json::from_value(deployment["spec"]["template"]["spec"]["containers"][0]["args"].clone()).unwrap()
}

/// The text after `--config-text`, which is the last argument.
fn rendered_config(service: &Service) -> String {
    let args = rendered_args(service);
    assert_eq!(args[args.len() - 2], "--config-text");
    args.last().unwrap().clone()
}

#[test]
fn the_objects_of_an_endpoint_picker() {
    testing::assert_snapshots("scheduler", |_| (), render);
}

#[test]
fn gateways_are_told_of_a_picker_without_tls() {
    let protocol = |argument: &str| {
        let mut service = plain();
        *main_args(&mut service) = vec![argument.to_owned()];
        let service = body(&service, ChildKind::Service).unwrap();
        let ports = service["spec"]["ports"].as_array().unwrap();
        ports.iter().find(|it| it["name"] == "grpc").unwrap()["appProtocol"].clone()
    };
    assert_eq!(protocol("--secure-serving=false"), "kubernetes.io/h2c");
    assert_eq!(protocol("--secure-serving=true"), Value::Null);
}

#[test]
fn a_foreign_pool_needs_no_endpoint_picker() {
    let mut service = plain();
    let reference = k8s_openapi::api::core::v1::LocalObjectReference { name: "theirs".to_owned() };
    scheduler(&mut service).pool.as_mut().unwrap().reference = Some(reference);
    assert_eq!(render(&service), []);
}

#[test]
fn the_alpha_pool_exists_only_where_it_is_served() {
    let mut service = plain();
    assert!(body(&service, ChildKind::InferencePoolV1Alpha2).is_some());
    service.facts.apis = Apis::new([ChildKind::InferencePool], 36);
    assert!(body(&service, ChildKind::InferencePoolV1Alpha2).is_none());
    assert!(body(&service, ChildKind::InferencePool).is_some());
}

#[test]
fn an_inline_config_replaces_every_other() {
    let mut service = plain();
    *main_args(&mut service) =
        ["--v=4", "-configFile", "/etc/epp.yaml", "--config-text=old"].map(str::to_owned).into();
    set_live(&mut service, &[], &["--config-text", "live: true"]);
    scheduler(&mut service).config.get_or_insert_default().inline = Some(json!({ "plugins": [] }));
    assert_eq!(rendered_args(&service), ["--v=4", "--config-text", r#"{"plugins":[]}"#]);
}

#[test]
fn a_referenced_config_is_taken_word_for_word() {
    let mut service = plain();
    service.facts.scheduler.config = ReferencedConfig::Text("# mine\nplugins: []\n".to_owned());
    scheduler(&mut service).config.get_or_insert_default();
    assert_eq!(rendered_config(&service), "# mine\nplugins: []\n");
}

#[test]
fn the_templates_own_config_comes_before_the_live_one() {
    let mut service = plain();
    main_args(&mut service).extend(["--config-file=/etc/epp.yaml".to_owned()]);
    set_live(&mut service, &[], &["--config-text", "live: true"]);
    assert_eq!(rendered_args(&service), ["--config-file=/etc/epp.yaml"]);
}

#[test]
fn a_live_config_survives_upgrades() {
    for pair in
        [&["--config-text", "live: true"][..], &["--config-file=/etc/old.yaml"], &["--config-text", "{{"]]
    {
        let mut service = plain();
        set_live(&mut service, &[], pair);
        assert_eq!(rendered_args(&service), pair);
    }
}

#[test]
fn a_generated_config_follows_the_services_shape() {
    let mut service = plain();
    let unified = rendered_config(&service);
    set_live(&mut service, &[], &["--config-text", &unified]);
    assert_eq!(rendered_config(&service), unified);
    service.spec.prefill = Some(llmd_api::serving::v1alpha2::WorkloadSpec::default());
    let disaggregated = rendered_config(&service);
    assert!(disaggregated.contains("disagg-profile-handler"), "{disaggregated}");
}

#[test]
fn another_spelling_of_the_live_config_restarts_nothing() {
    let mut service = plain();
    scheduler(&mut service).config.get_or_insert_default().inline = Some(json!({ "a": 1, "b": [true] }));
    set_live(&mut service, &[], &["--config-text", "b: [true]\na: 1\n"]);
    assert_eq!(rendered_config(&service), "b: [true]\na: 1\n");
}

#[test]
fn the_default_config_balances_or_disaggregates() {
    for shape in default_config::Shape::all().filter(|it| !it.llmd) {
        let name = format!(
            "default-{}{}",
            if shape.disaggregated { "disaggregated" } else { "unified" },
            if shape.lora { "-lora" } else { "" }
        );
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/render/scheduler"));
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        let text = document::write(&default_config::document(shape));
        assert_eq!(document::read(&text), Some(default_config::document(shape)));
        settings.bind(|| insta::assert_snapshot!(name, text));
    }
}

#[test]
fn an_immutable_selector_stays_and_the_pods_fit_it() {
    let mut service = plain();
    let live = [("app.kubernetes.io/name", "qwen"), ("team", "search")];
    set_live(&mut service, &live, &[]);
    scheduler(&mut service).labels = BTreeMap::from([("team".to_owned(), "other".to_owned())]);
    let deployment = body(&service, ChildKind::Deployment).unwrap();
    assert_eq!(
        deployment["spec"]["selector"]["matchLabels"],
        json!({ "app.kubernetes.io/name": "qwen", "team": "search" })
    );
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    assert_eq!(labels["team"], "search");
    assert_eq!(labels["app.kubernetes.io/component"], "llminferenceservice-router-scheduler");
}

#[test]
fn replicas_elect_a_leader_unless_the_template_decides() {
    let mut service = plain();
    scheduler(&mut service).replicas = Some(1);
    assert!(!rendered_args(&service).contains(&"--ha-enable-leader-election".to_owned()));
    scheduler(&mut service).replicas = Some(2);
    assert_eq!(rendered_args(&service)[0], "--ha-enable-leader-election");
    *main_args(&mut service) = vec!["--ha-enable-leader-election=false".to_owned()];
    assert_eq!(rendered_args(&service)[..2], ["--ha-enable-leader-election=false", "--config-text"]);
}

#[test]
fn a_missing_config_map_belongs_to_the_combination() {
    let mut service = plain();
    assert_eq!(check(&service), []);
    let reference =
        k8s_openapi::api::core::v1::ConfigMapKeySelector { name: "mine".to_owned(), ..Default::default() };
    scheduler(&mut service).config.get_or_insert_default().reference = Some(reference);
    let [error] = &check(&service)[..] else { panic!("one error") };
    assert_eq!((error.condition, error.reason), ("PresetsCombined", "CombineBaseError"));
    assert!(error.message.contains("ConfigMap team/mine not found"), "{error}");
    service.facts.scheduler.config = ReferencedConfig::Text("plugins: []".to_owned());
    assert_eq!(check(&service), []);
}

#[test]
fn a_template_without_the_endpoint_pickers_container_is_refused() {
    let mut service = plain();
    "other".clone_into(&mut scheduler(&mut service).template.as_mut().unwrap().containers[0].name);
    let [error] = &check(&service)[..] else { panic!("one error") };
    assert_eq!((error.condition, error.reason), ("SchedulerWorkloadReady", "SchedulerReconcileError"));
}

#[test]
fn a_flag_that_belongs_into_a_file_is_refused() {
    let mut service = plain();
    scheduler(&mut service).annotations.insert("app.kubernetes.io/version".to_owned(), "0.10.0".to_owned());
    main_args(&mut service)
        .extend(["--config-file=/etc/epp.yaml", "--model-server-metrics-path=/m"].map(str::to_owned));
    let [error] = &check(&service)[..] else { panic!("one error") };
    assert_eq!((error.condition, error.reason), ("SchedulerWorkloadReady", "SchedulerReconcileError"));
    assert!(error.message.contains("--model-server-metrics-path"), "{error}");
}

#[test]
fn switching_tls_changes_a_generated_config() {
    let mut service = plain();
    scheduler(&mut service).annotations.insert("app.kubernetes.io/version".to_owned(), "0.10.0".to_owned());
    let plain_text = rendered_config(&service);
    main_args(&mut service).push("--model-server-metrics-scheme=https".to_owned());
    let encrypted = rendered_config(&service);
    assert!(encrypted.contains("scheme: https"), "{encrypted}");
    set_live(&mut service, &[], &["--config-text", &encrypted]);
    assert_eq!(rendered_config(&service), encrypted);
    main_args(&mut service).clear();
    assert_eq!(rendered_config(&service), plain_text);
}

#[test]
fn a_tokenizer_runs_where_a_plugin_or_the_user_asks_for_one() {
    let mut service = testing::service(include_str!("../../../../testdata/render/scheduler/tokenizer.yaml"));
    assert!(has_tokenizer(&service));
    assert_eq!(deprecated_plugins(&service), ["precise-prefix-cache-scorer"]);
    scheduler(&mut service).config = None;
    assert!(has_tokenizer(&service), "the section alone asks for it");
    scheduler(&mut service).tokenizer = None;
    assert!(!has_tokenizer(&service));
    assert_eq!(deprecated_plugins(&service), [""; 0]);
    assert!(has_endpoint_picker(&service));
}

#[test]
fn the_tokenizer_is_reached_by_the_installations_scheme_and_domain() {
    let mut service = plain();
    assert_eq!(tokenizer::url(&service), "http://qwen-tokenizer.team.svc.cluster.local:8000");
    let mut settings = (*service.settings).clone();
    settings.ingress.enable_tls = true;
    service.settings = settings.into();
    assert_eq!(tokenizer::url(&service), "https://qwen-tokenizer.team.svc.cluster.local:8000");
}

#[test]
fn the_auth_binding_is_of_one_service_and_says_of_which() {
    let names = |namespace, service| crate::names::Names::new(namespace, service).auth_binding();
    assert_ne!(names("a", "b-c"), names("a-b", "c"));
    assert!(names(&"n".repeat(63), &"s".repeat(63)).len() <= 63);
    let child = render(&plain()).into_iter().find(|it| it.kind == ChildKind::ClusterRoleBinding).unwrap();
    assert!(!child.owned && child.namespace.is_none());
    assert_eq!(child.body["metadata"]["labels"]["llmd.ai/service-namespace"], "team");
    assert_eq!(child.body["metadata"]["labels"]["app.kubernetes.io/name"], "qwen");
}

#[test]
fn the_next_endpoint_picker_comes_first_where_it_is_the_entrance() {
    let strategy = |service: &Service| {
        let deployment = body(service, ChildKind::Deployment).unwrap();
        deployment["spec"]["strategy"]["type"].as_str().unwrap().to_owned()
    };
    let mut service = plain();
    assert_eq!(strategy(&service), "Recreate", "gateways do without it meanwhile");
    let ports = json!([{"name": "http", "containerPort": 8081}]);
    scheduler(&mut service).template.as_mut().unwrap().containers[0].ports =
        Some(serde_json::from_value(ports).unwrap());
    assert_eq!(strategy(&service), "RollingUpdate");
    scheduler(&mut service).replicas = Some(2);
    assert_eq!(strategy(&service), "Recreate", "the next one would wait for the lease");
    scheduler(&mut service).replicas = None;
    let mut settings = (*service.settings).clone();
    settings.ingress.enable_tls = true;
    service.settings = settings.into();
    assert_eq!(strategy(&service), "Recreate", "the proxy is off");
}
