//! What the endpoint picker may read, and the leases by which its replicas elect a leader.

use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef};
use kube::core::ObjectMeta;
use llmd_api::meta::component;

use super::accounts::{self, RBAC_GROUP};
use crate::children::{Child, ChildKind};
use crate::llmisvc::service::Service;

const READ: [&str; 3] = ["get", "list", "watch"];
const WRITE: [&str; 7] = ["get", "list", "watch", "create", "update", "patch", "delete"];
const POOLS: &str = "inference.networking.k8s.io";
const POOLS_ALPHA: &str = "inference.networking.x-k8s.io";

pub(super) fn render(service: &Service, template: &PodSpec) -> [Child; 2] {
    let metadata = |name: String| ObjectMeta {
        name: Some(name),
        namespace: Some(service.namespace.clone()),
        labels: Some(service.child_labels(component::ROUTER_SCHEDULER)),
        ..ObjectMeta::default()
    };
    let names = service.names();
    let role = Role { metadata: metadata(names.scheduler_role()), rules: Some(rules()) };
    let binding = RoleBinding {
        metadata: metadata(names.scheduler_role_binding()),
        role_ref: RoleRef {
            api_group: Some(RBAC_GROUP.to_owned()),
            kind: "Role".to_owned(),
            name: names.scheduler_role(),
        },
        subjects: Some(vec![accounts::subject(service, &accounts::name(service, template))]),
    };
    [Child::new(ChildKind::Role, &role), Child::new(ChildKind::RoleBinding, &binding)]
}

fn rules() -> Vec<PolicyRule> {
    vec![
        rule(&[""], &["pods"], &READ),
        rule(&["discovery.k8s.io"], &["endpointslices"], &READ),
        rule(&[POOLS, POOLS_ALPHA], &["inferencepools", "inferenceobjectives", "inferencemodels"], &READ),
        rule(&[POOLS_ALPHA], &["inferencemodelrewrites", "inferencepoolimports"], &READ),
        rule(&["llm-d.ai"], &["inferenceobjectives", "inferencemodelrewrites"], &READ),
        rule(&["coordination.k8s.io"], &["leases"], &WRITE),
    ]
}

fn rule(groups: &[&str], resources: &[&str], verbs: &[&str]) -> PolicyRule {
    let owned = |them: &[&str]| them.iter().map(|&it| it.to_owned()).collect();
    PolicyRule {
        api_groups: Some(owned(groups)),
        resources: Some(owned(resources)),
        verbs: owned(verbs),
        ..PolicyRule::default()
    }
}
