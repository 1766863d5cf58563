//! What the endpoint picker may read, and the leases by which its replicas elect a leader.

use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::api::rbac::v1::PolicyRule;
use llmd_api::meta::component;

use super::accounts;
use crate::children::Child;
use crate::llmisvc::render::rbac::{READ, role, rule};
use crate::llmisvc::service::Service;

const WRITE: &[&str] = &["get", "list", "watch", "create", "update", "patch", "delete"];
const POOLS: &str = "inference.networking.k8s.io";
const POOLS_ALPHA: &str = "inference.networking.x-k8s.io";

pub(super) fn render(service: &Service, template: &PodSpec) -> [Child; 2] {
    let names = [service.names().scheduler_role(), service.names().scheduler_role_binding()];
    let labels = service.child_labels(component::ROUTER_SCHEDULER);
    role(service, names, labels, rules(), &accounts::name(service, template))
}

fn rules() -> Vec<PolicyRule> {
    vec![
        rule(&[""], &["pods"], READ),
        rule(&["discovery.k8s.io"], &["endpointslices"], READ),
        rule(&[POOLS, POOLS_ALPHA], &["inferencepools", "inferenceobjectives", "inferencemodels"], READ),
        rule(&[POOLS_ALPHA], &["inferencemodelrewrites", "inferencepoolimports"], READ),
        rule(&["llm-d.ai"], &["inferenceobjectives", "inferencemodelrewrites"], READ),
        rule(&["coordination.k8s.io"], &["leases"], WRITE),
    ]
}
