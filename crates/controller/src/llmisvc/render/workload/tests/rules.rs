//! Single rules, each by its smallest service.

use std::sync::Arc;

use llmd_api::meta;
use llmd_api::serving::conditions;
use serde_json::{Value, json};

use super::{live, service};
use crate::apis::Apis;
use crate::children::ChildKind;
use crate::live::{LiveChild, LiveDeployment, LiveDetail, LiveLeaderWorkerSet};
use crate::llmisvc::facts::accounts::Account;
use crate::llmisvc::render::workload::{Mode, check, render};
use crate::llmisvc::service::Service;
use crate::settings::{ClusterSettings, IngressSettings};

const POD: &str = "{containers: [{name: main, image: engine}]}";
const SIDECAR_POD: &str = "{containers: [{name: main, image: engine}], initContainers: [{name: llm-d-routing-sidecar, image: sidecar}]}";

/// The service `qwen` in the namespace `models` with this spec.
fn with_spec(spec: &str) -> Service {
    service(&format!("{{metadata: {{name: qwen, namespace: models}}, spec: {spec}}}"))
}

/// The rendered object of this kind and name.
fn object(service: &Service, kind: ChildKind, name: &str) -> Value {
    let children = render(service);
    let child = children.into_iter().find(|it| it.kind == kind && it.name == name);
    child.unwrap_or_else(|| panic!("no {kind:?} {name}")).body
}

fn names(service: &Service, kind: ChildKind) -> Vec<String> {
    render(service).into_iter().filter(|it| it.kind == kind).map(|it| it.name).collect()
}

fn main_deployment(service: &Service) -> Value {
    object(service, ChildKind::Deployment, "qwen-kserve")
}

fn messages(service: &Service) -> Vec<String> {
    check(service).into_iter().map(|it| it.message).collect()
}

#[test]
fn the_mode_is_told_by_prefill_and_workers() {
    let mode = |spec: &str| Mode::of(&with_spec(spec)).to_string();
    assert_eq!(mode("{template: {}}"), "single");
    assert_eq!(mode("{template: {}, prefill: {}}"), "disaggregated");
    assert_eq!(mode("{template: {}, worker: {}}"), "multi-node");
    assert_eq!(mode("{template: {}, prefill: {worker: {}}}"), "disaggregated+multi-node");
}

#[test]
fn replicas_are_left_alone_unless_given() {
    let replicas = |spec: &str| main_deployment(&with_spec(spec))["spec"]["replicas"].clone();
    assert_eq!(replicas(&format!("{{template: {POD}}}")), Value::Null);
    assert_eq!(replicas(&format!("{{template: {POD}, replicas: 0}}")), 0);
}

#[test]
fn replicas_that_nobody_else_sets_stay_when_they_are_no_longer_given() {
    let replicas = |spec: &str, held_replicas: Option<i32>| {
        let deployment = LiveDeployment { held_replicas, ..Default::default() };
        let detail = LiveDetail::Deployment(Box::new(deployment));
        let mut service = with_spec(spec);
        service.facts.live.children.push(live(ChildKind::Deployment, "qwen-kserve", detail));
        main_deployment(&service)["spec"]["replicas"].clone()
    };
    assert_eq!(replicas(&format!("{{template: {POD}}}"), Some(5)), 5);
    assert_eq!(replicas(&format!("{{template: {POD}}}"), None), Value::Null);
    assert_eq!(replicas(&format!("{{template: {POD}, replicas: 2}}"), Some(5)), 2);
}

#[test]
fn each_topology_has_its_own_objects() {
    let service = with_spec(&format!("{{template: {POD}, worker: {POD}, prefill: {{template: {POD}}}}}"));
    assert_eq!(names(&service, ChildKind::Deployment), ["qwen-kserve-prefill"]);
    assert_eq!(names(&service, ChildKind::LeaderWorkerSet), ["qwen-kserve-mn"]);
    let service = with_spec(&format!("{{template: {POD}, prefill: {{template: {POD}, worker: {POD}}}}}"));
    assert_eq!(names(&service, ChildKind::Deployment), ["qwen-kserve"]);
    assert_eq!(names(&service, ChildKind::LeaderWorkerSet), ["qwen-kserve-mn-prefill"]);
}

#[test]
fn the_main_pods_serve_both_roles_until_prefill_has_pods_of_its_own() {
    let role = |spec: &str| {
        main_deployment(&with_spec(spec))["spec"]["template"]["metadata"]["labels"][meta::ROLE].clone()
    };
    assert_eq!(role(&format!("{{template: {POD}}}")), "both");
    assert_eq!(role(&format!("{{template: {POD}, prefill: {{template: {POD}}}}}")), "decode");
}

#[test]
fn workers_that_are_members_of_the_pool_by_label_get_whole_requests_too() {
    let spec = |labels: &str| format!("{{template: {POD}, worker: {POD}, prefill: {{}}, labels: {labels}}}");
    let selector = |spec: &str| {
        let front = object(&with_spec(spec), ChildKind::Service, "qwen-kserve-workload-svc");
        let selector = &front["spec"]["selector"];
        (selector[meta::COMPONENT].clone(), selector[meta::ROLE].clone())
    };
    let leaders = json!("llminferenceservice-workload-leader");
    assert_eq!(selector(&spec("{}")), (leaders.clone(), Value::Null));
    let decode = "{kserve.io/component: workload, llm-d.ai/role: decode}";
    assert_eq!(selector(&spec(decode)), (Value::Null, json!("decode")));
    assert_eq!(selector(&spec("{kserve.io/component: workload}")), (leaders, Value::Null));
}

#[test]
fn only_pods_that_serve_are_scraped() {
    let mut service = with_spec(&format!("{{template: {POD}, worker: {POD}}}"));
    service.annotations.insert("prometheus.io/port".to_owned(), "8000".to_owned());
    let set = object(&service, ChildKind::LeaderWorkerSet, "qwen-kserve-mn");
    let group = &set["spec"]["leaderWorkerTemplate"];
    assert_eq!(group["leaderTemplate"]["metadata"]["annotations"], json!({"prometheus.io/port": "8000"}));
    assert_eq!(group["workerTemplate"]["metadata"]["annotations"], Value::Null);
    assert_eq!(set["metadata"]["annotations"], Value::Null);
}

#[test]
fn annotations_of_the_local_cache_reach_objects_and_pods() {
    let mut service = with_spec(&format!("{{template: {POD}}}"));
    let (key, value) = ("internal.serving.kserve.io/localmodel-pvc-name", "cache-gpu");
    service.annotations.insert(key.to_owned(), value.to_owned());
    service.labels.insert("internal.serving.kserve.io/localmodel".to_owned(), "cache".to_owned());
    let deployment = main_deployment(&service);
    for it in [&deployment, &deployment["spec"]["template"]] {
        assert_eq!(it["metadata"]["annotations"][key], value);
        assert_eq!(it["metadata"]["labels"]["internal.serving.kserve.io/localmodel"], "cache");
    }
}

#[test]
fn the_service_speaks_the_scheme_of_the_workloads() {
    let mut service = with_spec("{}");
    let port = |service: &Service| {
        object(service, ChildKind::Service, "qwen-kserve-workload-svc")["spec"]["ports"][0].clone()
    };
    assert_eq!(port(&service)["name"], "http");
    let ingress = IngressSettings { enable_tls: true, ..Default::default() };
    service.settings = Arc::new(ClusterSettings { ingress, ..Default::default() });
    let expected =
        json!({"name": "https", "appProtocol": "https", "protocol": "TCP", "port": 8000, "targetPort": 8000});
    assert_eq!(port(&service), expected);
}

#[test]
fn the_sidecar_brings_an_account_and_permissions_and_takes_them_away_with_it() {
    let with = with_spec(&format!("{{template: {SIDECAR_POD}}}"));
    assert_eq!(names(&with, ChildKind::ServiceAccount), ["qwen-kserve"]);
    assert_eq!(names(&with, ChildKind::Role), ["qwen-kserve-role"]);
    assert_eq!(names(&with, ChildKind::RoleBinding), ["qwen-kserve-rb"]);
    let without = with_spec(&format!("{{template: {POD}, prefill: {{template: {SIDECAR_POD}}}}}"));
    for kind in [ChildKind::ServiceAccount, ChildKind::Role, ChildKind::RoleBinding] {
        assert_eq!(names(&without, kind), [""; 0]);
    }
}

#[test]
fn permissions_go_to_the_account_of_the_user_where_one_is_named() {
    let pod = SIDECAR_POD.replacen('{', "{serviceAccountName: mine, ", 1);
    let service = with_spec(&format!("{{template: {pod}}}"));
    assert_eq!(names(&service, ChildKind::ServiceAccount), [""; 0]);
    let binding = object(&service, ChildKind::RoleBinding, "qwen-kserve-rb");
    assert_eq!(binding["subjects"][0]["name"], "mine");
    assert_eq!(main_deployment(&service)["spec"]["template"]["spec"]["serviceAccountName"], "mine");
}

#[test]
fn naming_the_generated_account_still_generates_it() {
    let pod = SIDECAR_POD.replacen('{', "{serviceAccountName: qwen-kserve, ", 1);
    assert_eq!(
        names(&with_spec(&format!("{{template: {pod}}}")), ChildKind::ServiceAccount),
        ["qwen-kserve"]
    );
}

#[test]
fn generated_accounts_copy_the_secrets_of_the_default_account() {
    let mut service = with_spec(&format!("{{worker: {POD}, prefill: {{worker: {POD}}}}}"));
    service.facts.accounts.default = Account {
        secrets: vec!["token".to_owned()],
        image_pull_secrets: vec!["registry".to_owned()],
        ..Default::default()
    };
    for name in ["qwen-kserve-mn", "qwen-kserve-mn-prefill"] {
        let account = object(&service, ChildKind::ServiceAccount, name);
        assert_eq!(account["secrets"], json!([{"name": "token"}]));
        assert_eq!(account["imagePullSecrets"], json!([{"name": "registry"}]));
    }
}

#[test]
fn leaders_and_workers_share_one_account_and_the_leaders_choice_comes_first() {
    let pod = |account: &str| POD.replacen('{', &format!("{{serviceAccountName: {account}, "), 1);
    let service = with_spec(&format!("{{template: {}, worker: {}}}", pod("a"), pod("b")));
    let group =
        &object(&service, ChildKind::LeaderWorkerSet, "qwen-kserve-mn")["spec"]["leaderWorkerTemplate"];
    assert_eq!(group["leaderTemplate"]["spec"]["serviceAccountName"], "a");
    assert_eq!(group["workerTemplate"]["spec"]["serviceAccountName"], "a");
}

#[test]
fn the_pool_is_named_to_the_sidecar_of_a_routed_service_only() {
    let env = |spec: String| {
        let deployment = main_deployment(&with_spec(&spec));
        deployment["spec"]["template"]["spec"]["initContainers"][0]["env"].clone()
    };
    assert_eq!(env(format!("{{template: {SIDECAR_POD}}}")), Value::Null);
    let pool = json!([{"name": "INFERENCE_POOL_NAME", "value": "qwen-inference-pool"}]);
    assert_eq!(env(format!("{{template: {SIDECAR_POD}, router: {{}}}}")), pool);
}

#[test]
fn a_live_group_keeps_its_sub_groups_or_their_absence() {
    let spec = format!("{{prefill: {{parallelism: {{data: 8, dataLocal: 4}}, worker: {POD}}}}}");
    let sub_groups = |live: Option<Option<i32>>| {
        let mut service = with_spec(&spec);
        service.facts.live.children.extend(live.map(live_group));
        let set = object(&service, ChildKind::LeaderWorkerSet, "qwen-kserve-mn-prefill");
        set["spec"]["leaderWorkerTemplate"]["subGroupPolicy"]["subGroupSize"].clone()
    };
    assert_eq!(sub_groups(None), 2);
    assert_eq!(sub_groups(Some(Some(4))), 4);
    assert_eq!(sub_groups(Some(None)), Value::Null);
}

/// A live LeaderWorkerSet of the prefill workload.
fn live_group(sub_group_size: Option<i32>) -> LiveChild {
    let set = LiveLeaderWorkerSet { sub_group_size, ..Default::default() };
    live(ChildKind::LeaderWorkerSet, "qwen-kserve-mn-prefill", LiveDetail::LeaderWorkerSet(Box::new(set)))
}

#[test]
fn another_wish_for_devices_is_another_template() {
    let template = |count: &str| {
        let mut service = with_spec(&format!("{{template: {POD}}}"));
        service.annotations = [(meta::DRA_DEVICE_CLASS, "gpu"), (meta::DRA_DEVICE_COUNT, count)]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        names(&service, ChildKind::ResourceClaimTemplate).remove(0)
    };
    assert!(template("1").starts_with("qwen-managed-dra-"));
    assert_eq!(template("2"), template("2"));
    assert_ne!(template("1"), template("2"));
}

#[test]
fn tracing_waits_for_an_endpoint() {
    let pod = |tracing: &str| {
        let service = with_spec(&format!("{{template: {POD}, tracing: {tracing}}}"));
        main_deployment(&service)["spec"]["template"]["spec"]["containers"][0].clone()
    };
    assert_eq!(pod("{}"), json!({"name": "main", "image": "engine"}));
    let args = json!(["--otlp-traces-endpoint", "http://otel:4317", "--collect-detailed-traces", "all"]);
    assert_eq!(pod("{exporterEndpoint: 'http://otel:4317'}")["args"], args);
}

#[test]
fn flags_in_a_shell_script_or_in_additional_arguments_count_as_given() {
    for given in [
        "command: [bash, -c, 'exec serve --collect-detailed-traces model $@']",
        "env: [{name: VLLM_ADDITIONAL_ARGS, value: '-v --collect-detailed-traces=model'}]",
    ] {
        let spec = format!(
            "{{template: {{containers: [{{name: main, {given}}}]}}, tracing: {{exporterEndpoint: 'http://otel'}}}}"
        );
        let deployment = main_deployment(&with_spec(&spec));
        let args = &deployment["spec"]["template"]["spec"]["containers"][0]["args"];
        assert_eq!(*args, json!(["--otlp-traces-endpoint", "http://otel"]), "{given}");
    }
}

#[test]
fn a_complete_service_has_nothing_wrong() {
    assert_eq!(messages(&with_spec(&format!("{{template: {POD}, prefill: {{worker: {POD}}}}}"))), [""; 0]);
}

#[test]
fn a_missing_account_is_named_with_its_field_on_the_condition_of_its_workload() {
    let pod = POD.replacen('{', "{serviceAccountName: ghost, ", 1);
    let mut service = with_spec(&format!("{{template: {pod}, prefill: {{worker: {pod}}}}}"));
    service.facts.accounts.missing.insert("ghost".to_owned());
    let errors = check(&service);
    let where_: Vec<_> = errors.iter().map(|it| (it.condition, it.reason)).collect();
    let expected = [
        (conditions::MAIN_WORKLOAD_READY, "ReconcileSingleNodeWorkloadError"),
        (conditions::PREFILL_WORKER_WORKLOAD_READY, "ReconcileMultiNodeWorkloadError"),
    ];
    assert_eq!(where_, expected);
    let message = |field: &str| {
        format!(
            "{field}.serviceAccountName: ServiceAccount models/ghost does not exist: create it or remove the field"
        )
    };
    assert_eq!(messages(&service), [message("spec.template"), message("spec.prefill.worker")]);
}

#[test]
fn groups_need_the_api_of_groups() {
    let mut service = with_spec(&format!("{{worker: {POD}}}"));
    service.facts.apis = Apis::new([], 36);
    let errors = check(&service);
    assert_eq!(errors[0].condition, conditions::WORKER_WORKLOAD_READY);
    assert!(errors[0].message.starts_with("spec.worker: the cluster does not serve LeaderWorkerSet"));
}

#[test]
fn pods_without_containers_are_told_by_their_field() {
    let fields = |spec: &str| {
        let field = |it: String| it.split(": ").next().unwrap().to_owned();
        messages(&with_spec(spec)).into_iter().map(field).collect::<Vec<_>>()
    };
    assert_eq!(fields("{}"), ["spec.template.containers"]);
    assert_eq!(fields(&format!("{{template: {POD}, worker: {{}}}}")), ["spec.worker.containers"]);
    let prefill = format!("{{template: {POD}, prefill: {{template: {{}}}}}}");
    assert_eq!(fields(&prefill), ["spec.prefill.template.containers"]);
}

#[test]
fn devices_need_their_api_and_the_container_that_gets_them() {
    let mut service = with_spec(&format!("{{template: {POD}}}"));
    service.annotations = [(meta::DRA_DEVICE_CLASS, "gpu"), (meta::DRA_CONTAINER_NAME, "other")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    let container = format!(
        "metadata.annotations[{}]: spec.template has no container \"other\"",
        meta::DRA_CONTAINER_NAME
    );
    assert_eq!(messages(&service), [container]);
    service.facts.apis = Apis::new([], 30);
    assert!(messages(&service)[0].contains("does not serve resource.k8s.io/v1"));
}
