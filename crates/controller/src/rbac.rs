//! What the controller may do: the rules of its ClusterRole and Role as data, beside the code that needs them.
//!
//! Kubernetes refuses a Role that grants more than its creator has, so the rights of sidecars and endpoint pickers
//! stand here too. The chart's YAML is written from these rules.

use k8s_openapi::api::rbac::v1::PolicyRule;

use crate::children::ChildKind;
use crate::legacy::AUTOSCALINGS;
use crate::llmisvc::render::rbac::{self as roles, READ};
use crate::webhook::manifests::{CONFIG_WEBHOOKS, CRDS, SERVICE_WEBHOOKS};

const SERVING: &str = "serving.kserve.io";
const POOLS: [&str; 2] = ["inference.networking.k8s.io", "inference.networking.x-k8s.io"];

/// Read, apply and delete, as children need it. Applying is a patch, and creates where there is nothing.
const MANAGE: &[&str] = &["create", "delete", "get", "list", "patch", "watch"];

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> PolicyRule {
    roles::rule(&[group], resources, verbs)
}

/// Rules for the whole cluster.
#[must_use]
pub fn cluster_rules() -> Vec<PolicyRule> {
    let mut rules = own_resources();
    rules.extend(children());
    rules.extend(surroundings());
    rules.extend(installation());
    rules.extend(granted());
    rules
}

/// Rules in the system namespace: the lease, and the Secret of the certificate authority.
#[must_use]
pub fn system_rules() -> Vec<PolicyRule> {
    vec![
        rule("coordination.k8s.io", &["leases"], &["create", "get", "update"]),
        rule("", &["secrets"], &["create", "get", "update"]),
    ]
}

/// Services and configs: their metadata is patched, their status written, and a dry run creates a service.
fn own_resources() -> Vec<PolicyRule> {
    const KINDS: [&str; 2] = ["llminferenceservices", "llminferenceserviceconfigs"];
    const FINALIZERS: [&str; 2] =
        ["llminferenceservices/finalizers", "llminferenceserviceconfigs/finalizers"];
    const STATUS: [&str; 2] = ["llminferenceservices/status", "llminferenceserviceconfigs/status"];
    vec![
        rule(SERVING, &KINDS, &["get", "list", "patch", "watch"]),
        rule(SERVING, &KINDS[..1], &["create"]),
        rule(SERVING, &STATUS, &["update"]),
        rule(SERVING, &FINALIZERS, &["update"]),
    ]
}

/// Every kind of child, by group.
fn children() -> Vec<PolicyRule> {
    ChildKind::ALL
        .iter()
        .map(|it| {
            let resource = it.api_resource();
            rule(&resource.group, &[&resource.plural], MANAGE)
        })
        .collect()
}

/// What services refer to or are reached through.
fn surroundings() -> Vec<PolicyRule> {
    vec![
        rule("", &["pods"], READ),
        rule("gateway.networking.k8s.io", &["gateways", "gatewayclasses"], READ),
        rule(SERVING, &["localmodelcaches", "localmodelnamespacecaches"], READ),
        rule("", &["events"], &["create", "patch"]),
    ]
}

/// What earlier releases left is removed. CRDs are followed, and their stored versions and the trust in the webhooks are kept up to date.
fn installation() -> Vec<PolicyRule> {
    const WEBHOOKS: [&str; 2] = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"];
    let named = |rule: PolicyRule, names: [&str; 2]| PolicyRule {
        resource_names: Some(names.map(str::to_owned).into()),
        ..rule
    };
    let [legacy_group, .., legacy_plural] = AUTOSCALINGS;
    vec![
        rule(legacy_group, &[legacy_plural], &["delete", "list"]),
        rule("apiextensions.k8s.io", &["customresourcedefinitions"], READ),
        named(
            rule(
                "apiextensions.k8s.io",
                &["customresourcedefinitions", "customresourcedefinitions/status"],
                &["patch"],
            ),
            CRDS,
        ),
        named(
            rule("admissionregistration.k8s.io", &WEBHOOKS, &["get", "patch"]),
            [SERVICE_WEBHOOKS, CONFIG_WEBHOOKS],
        ),
    ]
}

/// What the Roles and bindings of children give to their pods.
fn granted() -> Vec<PolicyRule> {
    let mut rules = vec![
        rule("discovery.k8s.io", &["endpointslices"], READ),
        rule("llm-d.ai", &["inferenceobjectives", "inferencemodelrewrites"], READ),
        rule(POOLS[1], &["inferencemodelrewrites", "inferencepoolimports"], READ),
        rule(
            "coordination.k8s.io",
            &["leases"],
            &["create", "delete", "get", "list", "patch", "update", "watch"],
        ),
        rule("authentication.k8s.io", &["tokenreviews"], &["create"]),
        rule("authorization.k8s.io", &["subjectaccessreviews"], &["create"]),
        read_metrics(),
    ];
    rules.extend(POOLS.map(|it| rule(it, &["inferenceobjectives", "inferencemodels"], READ)));
    rules
}

/// What the accounts may that Prometheus reads endpoint pickers with.
fn read_metrics() -> PolicyRule {
    PolicyRule {
        non_resource_urls: Some(vec!["/metrics".to_owned()]),
        verbs: vec!["get".to_owned()],
        ..PolicyRule::default()
    }
}

#[cfg(test)]
mod tests;
