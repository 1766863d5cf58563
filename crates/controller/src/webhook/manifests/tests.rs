use std::collections::BTreeSet;

use super::*;
use crate::webhook::review::HOOKS;

/// Path and entry name of every webhook.
fn entries(endpoint: &Endpoint) -> Vec<(String, WebhookClientConfig)> {
    let mutating =
        mutating(endpoint, None).webhooks.unwrap().into_iter().map(|it| (it.name, it.client_config));
    let validating = validating(endpoint, None).into_iter().flat_map(|it| it.webhooks.unwrap());
    mutating.chain(validating.map(|it| (it.name, it.client_config))).collect()
}

#[test]
fn every_path_is_registered_once() {
    let endpoint = Endpoint::in_cluster("kserve");
    let registered: Vec<String> =
        entries(&endpoint).into_iter().map(|(_, it)| it.service.unwrap().path.unwrap()).collect();
    assert_eq!(
        registered.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        HOOKS.iter().map(|(path, _)| *path).collect()
    );
    assert_eq!(registered.len(), HOOKS.len());
}

#[test]
fn entries_have_their_public_names() {
    let names: Vec<String> =
        entries(&Endpoint::in_cluster("kserve")).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "llminferenceservice.kserve-webhook-server.v1alpha1.defaulter",
            "llminferenceservice.kserve-webhook-server.v1alpha2.defaulter",
            "llminferenceservice.kserve-webhook-server.v1alpha1.validator",
            "llminferenceservice.kserve-webhook-server.v1alpha2.validator",
            "llminferenceserviceconfig.kserve-webhook-server.v1alpha1.validator",
            "llminferenceserviceconfig.kserve-webhook-server.v1alpha2.validator",
        ]
    );
}

#[test]
fn only_configs_are_asked_about_when_deleted() {
    let operations: Vec<Vec<String>> = validating(&Endpoint::in_cluster("kserve"), None)
        .into_iter()
        .flat_map(|it| it.webhooks.unwrap())
        .map(|it| it.rules.unwrap()[0].operations.clone().unwrap())
        .collect();
    assert_eq!(operations[0], ["CREATE", "UPDATE"]);
    assert_eq!(operations[3], ["CREATE", "UPDATE", "DELETE"]);
}

#[test]
fn a_controller_outside_the_cluster_is_reached_by_url() {
    let endpoint = Endpoint::Url("https://192.0.2.1:9443/".to_owned());
    for (_, config) in entries(&endpoint) {
        let url = config.url.unwrap();
        assert!(url.starts_with("https://192.0.2.1:9443/") && !url[8..].contains("//"), "{url}");
        assert!(config.service.is_none());
    }
    let conversion = conversion(&endpoint, Some("bundle"));
    assert_eq!(
        conversion["webhook"]["clientConfig"],
        json!({"url": "https://192.0.2.1:9443/convert", "caBundle": "YnVuZGxl"})
    );
}
