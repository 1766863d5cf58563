//! What a service has in the cluster, looked at as a whole.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::{Value, json};

use super::story::Story;

/// What every single-node service has. A name begins with `-` where the service's name goes.
pub(super) const SINGLE_NODE: &[&str] =
    &["Secret/-kserve-self-signed-certs", "Service/-kserve-workload-svc", "Deployment/-kserve"];
/// What every service over several nodes has.
pub(super) const MULTI_NODE: &[&str] = &[
    "Secret/-kserve-self-signed-certs",
    "Service/-kserve-workload-svc",
    "ServiceAccount/-kserve-mn",
    "LeaderWorkerSet/-kserve-mn",
];
/// The permissions of the routing sidecar of a single-node service.
pub(super) const SIDECAR: &[&str] =
    &["ServiceAccount/-kserve", "Role/-kserve-role", "RoleBinding/-kserve-rb"];
/// The permissions of the routing sidecar over several nodes; its account is the groups'.
pub(super) const MULTI_NODE_SIDECAR: &[&str] = &["Role/-kserve-mn-role", "RoleBinding/-kserve-mn-rb"];
/// The prefill side on single nodes.
pub(super) const PREFILL: &[&str] = &["Deployment/-kserve-prefill"];
/// The prefill side over several nodes.
pub(super) const MULTI_NODE_PREFILL: &[&str] =
    &["ServiceAccount/-kserve-mn-prefill", "LeaderWorkerSet/-kserve-mn-prefill"];
/// The managed endpoint picker and its pool.
pub(super) const SCHEDULER: &[&str] = &[
    "ServiceAccount/-epp-sa",
    "Role/-epp-role",
    "RoleBinding/-epp-rb",
    "ClusterRoleBinding/",
    "Service/-epp-service",
    "Deployment/-kserve-router-scheduler",
    "InferencePool/-inference-pool",
];
/// The managed route.
pub(super) const ROUTE: &[&str] = &["HTTPRoute/-kserve-route"];

const KINDS: &str = "configmaps,serviceaccounts,secrets,roles,rolebindings,clusterrolebindings,services,\
    deployments.apps,leaderworkersets.leaderworkerset.x-k8s.io,inferencepools.inference.networking.k8s.io,\
    httproutes.gateway.networking.k8s.io,horizontalpodautoscalers,scaledobjects.keda.sh,\
    podmonitors.monitoring.coreos.com,servicemonitors.monitoring.coreos.com";

impl Story {
    /// `Kind/-suffix` of every object of the service; `Kind/` of cluster-wide ones.
    pub(super) fn objects_of(&self, service: &str) -> Result<BTreeSet<String>> {
        let selector =
            format!("app.kubernetes.io/part-of=llminferenceservice,app.kubernetes.io/name={service}");
        let list: Value =
            serde_json::from_str(&self.kubectl(&["get", KINDS, "-l", &selector, "-o", "json"])?)?;
        let items = list["items"].as_array().into_iter().flatten();
        Ok(items.filter_map(|it| self.role_of(service, it)).collect())
    }

    /// Waits until the service has these objects and no other.
    pub(super) fn has_exactly(&self, service: &str, parts: &[&[&str]]) -> Result<()> {
        let expected: BTreeSet<String> = parts.concat().into_iter().map(str::to_owned).collect();
        let mut seen = BTreeSet::new();
        let outcome = self.eventually(&format!("{service} has its objects"), || {
            seen = self.objects_of(service)?;
            Ok((seen == expected).then_some(()))
        });
        outcome.map_err(|error| {
            let (extra, missing) = (seen.difference(&expected), expected.difference(&seen));
            let (extra, missing): (Vec<_>, Vec<_>) = (extra.collect(), missing.collect());
            error.context(format!("{service} lacks {missing:?} and has {extra:?}"))
        })
    }

    /// `kubectl patch KIND/NAME --type=merge`.
    pub(super) fn patch(&self, object: &str, patch: &Value) -> Result<()> {
        self.kubectl(&["patch", object, "--type=merge", "-p", &patch.to_string()]).map(drop)
    }

    /// Says as the LeaderWorkerSet controller that every group runs.
    pub(super) fn groups_run(&self, name: &str, groups: i64) -> Result<()> {
        self.object("leaderworkerset", name)?;
        let patch = json!({ "status": {
            "replicas": groups, "readyReplicas": groups, "updatedReplicas": groups,
            "hpaPodSelector": format!("leaderworkerset.sigs.k8s.io/name={name},leaderworkerset.sigs.k8s.io/worker-index=0"),
            "conditions": [{
                "type": "Available", "status": "True", "reason": "AllGroupsReady",
                "message": "All replicas are ready", "lastTransitionTime": "2026-01-01T00:00:00Z",
            }],
        } });
        let object = format!("leaderworkerset/{name}");
        self.kubectl(&["patch", &object, "--subresource=status", "--type=merge", "-p", &patch.to_string()])
            .map(drop)
    }

    /// Deletes the service and waits until nothing of it is left.
    pub(super) fn delete_service(&self, service: &str) -> Result<()> {
        self.kubectl(&["delete", &format!("llmisvc/{service}"), "--timeout=60s"])?;
        self.has_exactly(service, &[])
    }

    /// What part the object plays for the service; `None` when it is not the service's own.
    fn role_of(&self, service: &str, object: &Value) -> Option<String> {
        let kind = object["kind"].as_str()?;
        if kind == "ClusterRoleBinding" {
            return (object["subjects"][0]["namespace"] == self.namespace.as_str())
                .then(|| format!("{kind}/"));
        }
        let owner = &object["metadata"]["ownerReferences"][0];
        if owner["kind"] != "LLMInferenceService" || owner["controller"] != true {
            return None;
        }
        let name = object["metadata"]["name"].as_str()?;
        Some(format!("{kind}/{}", name.strip_prefix(service).unwrap_or(name)))
    }
}
