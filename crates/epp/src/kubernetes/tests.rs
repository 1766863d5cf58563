use k8s_openapi::api::rbac::v1::Role;
use kube::core::ApiResource;
use llmd_api::inference::{model_rewrite, objective};
use serde_json::Value;

use super::pool::PoolApi;

/// `crates/epp/rights.yaml`, which installations take their rights from.
fn role(name: &str) -> Role {
    let documents: Vec<Value> = serde_saphyr::from_multiple(include_str!("../../rights.yaml")).unwrap();
    let role = documents.into_iter().find(|it| it["metadata"]["name"] == name).unwrap();
    serde_json::from_value(role).unwrap()
}

#[test]
fn the_rights_are_those_of_what_is_watched_and_no_other() {
    let mut watched = vec![
        ApiResource::erase::<k8s_openapi::api::core::v1::Pod>(&()),
        ApiResource::erase::<objective::InferenceObjective>(&()),
        ApiResource::erase::<objective::legacy::InferenceObjective>(&()),
        ApiResource::erase::<model_rewrite::InferenceModelRewrite>(&()),
        ApiResource::erase::<model_rewrite::legacy::InferenceModelRewrite>(&()),
    ];
    watched.extend(PoolApi::ALL.map(PoolApi::resource));
    let mut watched: Vec<_> = watched.into_iter().map(|it| (it.group, it.plural)).collect();
    let mut granted = Vec::new();
    for rule in role("llmd-epp").rules.unwrap() {
        assert_eq!(rule.verbs, ["list", "watch"]);
        for group in rule.api_groups.unwrap() {
            granted.extend(rule.resources.iter().flatten().map(|it| (group.clone(), it.clone())));
        }
    }
    watched.sort();
    granted.sort();
    assert_eq!(granted, watched);
}
