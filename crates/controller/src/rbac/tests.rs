use std::collections::BTreeSet;
use std::path::Path;

use k8s_openapi::api::rbac::v1::Role;

use super::*;
use crate::llmisvc::render::{render, testing};
use crate::watch::optional::OptionalKind;

/// Group, resource, verb.
type Grant = (String, String, String);

fn grants(rules: &[PolicyRule]) -> BTreeSet<Grant> {
    let mut grants = BTreeSet::new();
    for rule in rules {
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                for verb in &rule.verbs {
                    grants.insert((group.clone(), resource.clone(), verb.clone()));
                }
            }
        }
    }
    grants
}

fn may(grants: &BTreeSet<Grant>, group: &str, resource: &str, verb: &str) -> bool {
    grants.contains(&(group.to_owned(), resource.to_owned(), verb.to_owned()))
}

#[test]
fn every_child_can_be_managed_and_every_watched_kind_read() {
    let grants = grants(&cluster_rules());
    for kind in ChildKind::ALL {
        let resource = kind.api_resource();
        for verb in MANAGE {
            assert!(may(&grants, &resource.group, &resource.plural, verb), "{verb} {}", resource.plural);
        }
    }
    for kind in OptionalKind::all() {
        let resource = kind.api_resource();
        for verb in ["list", "watch"] {
            assert!(may(&grants, &resource.group, &resource.plural, verb), "{verb} {}", resource.plural);
        }
    }
}

#[test]
fn no_rule_is_wider_than_its_reason() {
    let all = grants(&cluster_rules());
    assert!(!all.iter().any(|(group, resource, verb)| [group, resource, verb].contains(&&"*".to_owned())));
    let of_children: BTreeSet<_> =
        ChildKind::ALL.iter().map(|it| (it.group().to_owned(), it.api_resource().plural)).collect();
    let writes = all.iter().filter(|(group, resource, verb)| {
        !READ.contains(&verb.as_str()) && !of_children.contains(&(group.clone(), resource.clone()))
    });
    let writes: Vec<_> = writes.map(|(_, resource, verb)| format!("{verb} {resource}")).collect();
    assert_eq!(
        writes,
        [
            "create events",
            "patch events",
            "patch mutatingwebhookconfigurations",
            "patch validatingwebhookconfigurations",
            "patch customresourcedefinitions",
            "patch customresourcedefinitions/status",
            "create tokenreviews",
            "create subjectaccessreviews",
            "create leases",
            "delete leases",
            "patch leases",
            "update leases",
            "delete variantautoscalings",
            "patch llminferenceserviceconfigs",
            "update llminferenceserviceconfigs/finalizers",
            "update llminferenceserviceconfigs/status",
            "create llminferenceservices",
            "patch llminferenceservices",
            "update llminferenceservices/finalizers",
            "update llminferenceservices/status",
        ]
    );
}

/// The rules of every Role that the services of the fixtures become.
fn granted_to_pods() -> BTreeSet<Grant> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/render");
    let folders = ["scheduler", "workload"].map(|it| fixtures.join(it));
    let files = folders.iter().flat_map(|it| std::fs::read_dir(it).unwrap().map(|it| it.unwrap().path()));
    let manifests = files.filter(|it| it.extension().is_some_and(|it| it == "yaml"));
    let services = manifests.map(|it| testing::service(&std::fs::read_to_string(it).unwrap()));
    let roles = services.flat_map(|it| render(&it)).filter(|it| it.kind == ChildKind::Role);
    let rules =
        roles.flat_map(|it| serde_json::from_value::<Role>(it.body).unwrap().rules.unwrap_or_default());
    grants(&rules.collect::<Vec<_>>())
}

/// The API server refuses a Role that grants what its creator lacks.
#[test]
fn what_children_grant_the_controller_may_itself() {
    let (all, granted) = (grants(&cluster_rules()), granted_to_pods());
    assert!(may(&granted, "", "pods", "list"), "the fixtures have Roles");
    let missing: Vec<_> = granted.difference(&all).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
