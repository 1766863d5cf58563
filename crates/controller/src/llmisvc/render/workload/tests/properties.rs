//! What holds for the objects of every service.

use std::collections::{BTreeMap, BTreeSet};

use llmd_api::meta;
use proptest::prelude::*;
use serde_json::Value;

use super::{live, service, services};
use crate::children::{Child, ChildKind};
use crate::live::{LiveDeployment, LiveDetail};
use crate::llmisvc::render::workload::render;
use crate::llmisvc::service::Service;

type Labels = BTreeMap<String, String>;

fn labels(value: &Value) -> Labels {
    serde_json::from_value(value.clone()).unwrap()
}

/// The pod templates of an object that runs pods.
fn pod_templates(child: &Child) -> Vec<&Value> {
    let templates = match child.kind {
        ChildKind::Deployment => vec![&child.body["spec"]["template"]],
        ChildKind::LeaderWorkerSet => {
            let group = &child.body["spec"]["leaderWorkerTemplate"];
            vec![&group["leaderTemplate"], &group["workerTemplate"]]
        }
        _ => Vec::new(),
    };
    templates.into_iter().filter(|it| !it.is_null()).collect()
}

fn all_pod_templates(children: &[Child]) -> Vec<&Value> {
    children.iter().flat_map(pod_templates).collect()
}

fn matches(selector: &Labels, labels: &Labels) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// Asserts what every selector of a Deployment must fulfil, or the API server refuses the object.
fn assert_selectors_match_pods(children: &[Child]) {
    for deployment in children.iter().filter(|it| it.kind == ChildKind::Deployment) {
        let selector = labels(&deployment.body["spec"]["selector"]["matchLabels"]);
        let pods = labels(&deployment.body["spec"]["template"]["metadata"]["labels"]);
        assert!(matches(&selector, &pods), "{}: {selector:?} does not match {pods:?}", deployment.name);
    }
}

#[test]
fn objects_and_pods_carry_the_labels_that_find_them() {
    for (name, service) in services() {
        let children = render(&service);
        let objects = children.iter().map(|it| &it.body);
        for it in objects.chain(all_pod_templates(&children)) {
            assert_eq!(it["metadata"]["labels"][meta::NAME], service.name.as_str(), "{name}");
            assert_eq!(it["metadata"]["labels"][meta::PART_OF], meta::PART_OF_VALUE, "{name}");
        }
    }
}

#[test]
fn objects_are_owned_named_once_and_lie_in_the_namespace_of_the_service() {
    for (name, service) in services() {
        let children = render(&service);
        let keys: BTreeSet<_> = children.iter().map(|it| (it.kind, &it.name)).collect();
        assert_eq!(keys.len(), children.len(), "{name}");
        for it in &children {
            assert!(it.owned, "{name}: {}", it.name);
            assert_eq!(it.namespace.as_ref(), Some(&service.namespace), "{name}: {}", it.name);
        }
    }
}

#[test]
fn selectors_of_new_deployments_match_their_pods_and_hold_only_labels_that_never_change() {
    let constant = BTreeSet::from([meta::NAME, meta::PART_OF, meta::COMPONENT, meta::KSERVE_COMPONENT]);
    for (name, service) in services() {
        let children = render(&service);
        assert_selectors_match_pods(&children);
        for it in children.iter().filter(|it| it.kind == ChildKind::Deployment) {
            let selector = labels(&it.body["spec"]["selector"]["matchLabels"]);
            let keys: BTreeSet<_> = selector.keys().map(String::as_str).collect();
            assert_eq!(keys, constant, "{name}");
        }
    }
}

#[test]
fn the_service_reaches_every_serving_pod_of_the_main_workload_and_no_prefill_pod() {
    for (name, service) in services() {
        let children = render(&service);
        let front = children.iter().find(|it| it.kind == ChildKind::Service).unwrap();
        let selector = labels(&front.body["spec"]["selector"]);
        for child in &children {
            for pod in pod_templates(child) {
                let labels = labels(&pod["metadata"]["labels"]);
                let serves = labels.get(meta::KSERVE_COMPONENT).is_some_and(|it| it == meta::WORKLOAD);
                let is_prefill = labels.get(meta::ROLE).is_some_and(|it| it == "prefill");
                assert_eq!(matches(&selector, &labels), serves && !is_prefill, "{name}: {labels:?}");
            }
        }
    }
}

#[test]
fn pods_run_with_accounts_that_exist_and_permissions_are_bound_to_them() {
    for (name, service) in services() {
        let children = render(&service);
        let of_kind = |kind| children.iter().filter(move |it| it.kind == kind);
        let accounts: BTreeSet<_> = all_pod_templates(&children)
            .iter()
            .filter_map(|it| it["spec"]["serviceAccountName"].as_str())
            .collect();
        for it in of_kind(ChildKind::ServiceAccount) {
            assert!(accounts.contains(it.name.as_str()), "{name}: no pod uses {}", it.name);
        }
        for it in of_kind(ChildKind::RoleBinding) {
            assert!(accounts.contains(it.body["subjects"][0]["name"].as_str().unwrap()), "{name}");
            let role = it.body["roleRef"]["name"].as_str().unwrap();
            assert!(of_kind(ChildKind::Role).any(|it| it.name == role), "{name}: no Role {role}");
        }
    }
}

#[test]
fn claims_name_a_template_that_is_rendered() {
    for (name, service) in services() {
        let children = render(&service);
        for pod in all_pod_templates(&children) {
            for claim in pod["spec"]["resourceClaims"].as_array().into_iter().flatten() {
                let template = claim["resourceClaimTemplateName"].as_str().unwrap();
                let mut templates = children.iter().filter(|it| it.kind == ChildKind::ResourceClaimTemplate);
                assert!(templates.any(|it| it.name == template), "{name}: no template {template}");
            }
        }
    }
}

#[test]
fn no_container_sets_a_variable_twice() {
    for (name, service) in services() {
        let children = render(&service);
        for pod in all_pod_templates(&children) {
            let lists = [&pod["spec"]["containers"], &pod["spec"]["initContainers"]];
            for container in lists.into_iter().filter_map(Value::as_array).flatten() {
                let env = container["env"].as_array().map_or(&[][..], Vec::as_slice);
                let names: BTreeSet<_> = env.iter().map(|it| it["name"].as_str()).collect();
                assert_eq!(names.len(), env.len(), "{name}: {container}");
            }
        }
    }
}

/// The service with a live main Deployment that has this selector.
fn with_live_selector(mut service: Service, selector: Labels) -> Service {
    let detail = LiveDetail::Deployment(Box::new(LiveDeployment { selector, ..Default::default() }));
    let name = service.names().workload();
    service.facts.live.children.push(live(ChildKind::Deployment, &name, detail));
    service
}

proptest! {
    #[test]
    fn a_live_deployment_keeps_its_selector_whatever_that_is(
        selector in proptest::collection::btree_map("[a-z]{1,8}/[a-z]{1,8}|llm-d.ai/role", "[a-z]{0,8}", 1..6),
    ) {
        let manifest = "{metadata: {name: a, namespace: b},
                         spec: {template: {containers: [{name: main}]}, prefill: {}}}";
        let children = render(&with_live_selector(service(manifest), selector.clone()));
        assert_selectors_match_pods(&children);
        let main = children.iter().find(|it| it.name == "a-kserve").unwrap();
        prop_assert_eq!(labels(&main.body["spec"]["selector"]["matchLabels"]), selector);
    }
}
