//! What every story of the controller needs: a namespace, ways to look, and the part of the cluster that other
//! people's controllers play.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use llmd_e2e::installation::gateway::condition;
use llmd_e2e::installation::{Installation, SYSTEM_NAMESPACE};
use serde_json::{Value, json};

/// A namespace of the shared installation. It is deleted with the story.
pub(super) struct Story {
    pub(super) installation: Arc<Installation>,
    pub(super) namespace: String,
}

impl Story {
    /// Begins a story in a namespace of its own; `None`, with a word on why, where this machine cannot tell it.
    pub(super) fn begin(namespace: &str) -> Result<Option<Self>> {
        match Installation::shared()? {
            Ok(installation) => Ok(Some(Self::within(installation, namespace)?)),
            Err(reason) => {
                println!("skipped: {reason}");
                Ok(None)
            }
        }
    }

    /// Begins a story in the given installation.
    pub(super) fn within(installation: Arc<Installation>, namespace: &str) -> Result<Self> {
        installation.cluster.kubectl(&["create", "namespace", namespace])?;
        installation.install_gateway()?;
        Ok(Self { installation, namespace: namespace.to_owned() })
    }

    /// Applies manifests into the story's namespace.
    pub(super) fn apply(&self, yaml: &str) -> Result<()> {
        let arguments = ["-n", &self.namespace, "apply", "--server-side", "--force-conflicts", "-f", "-"];
        self.installation.cluster.kubectl_with_input(&arguments, yaml).map(drop)
    }

    /// `kubectl -n NAMESPACE …`.
    pub(super) fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let arguments: Vec<&str> =
            ["-n", self.namespace.as_str()].into_iter().chain(arguments.iter().copied()).collect();
        self.installation.cluster.kubectl(&arguments)
    }

    /// An object, waited for.
    pub(super) fn object(&self, kind: &str, name: &str) -> Result<Value> {
        self.eventually(&format!("{kind} {name} exists"), || self.find(kind, name))
    }

    /// An object, if it is there.
    pub(super) fn find(&self, kind: &str, name: &str) -> Result<Option<Value>> {
        self.installation.cluster.get(&self.namespace, kind, name)
    }

    /// Waits until the object is gone.
    pub(super) fn gone(&self, kind: &str, name: &str) -> Result<()> {
        self.eventually(&format!("{kind} {name} is gone"), || {
            Ok(self.find(kind, name)?.is_none().then_some(()))
        })
    }

    /// Waits until a condition of the service has this status and returns it.
    pub(super) fn condition(&self, service: &str, type_: &str, status: &str) -> Result<Value> {
        self.eventually(&format!("{service}: {type_} is {status}"), || {
            let service = self.find("llminferenceservice", service)?.context("no such service")?;
            let conditions = service["status"]["conditions"].as_array().cloned().unwrap_or_default();
            Ok(conditions.into_iter().find(|it| it["type"] == type_ && it["status"] == status))
        })
    }

    /// Says as a gateway's controller that the managed route and pool of `service` are accepted.
    pub(super) fn accept_route(&self, service: &str) -> Result<()> {
        let parent = json!({ "group": "gateway.networking.k8s.io", "kind": "Gateway",
                             "name": "kserve-ingress-gateway", "namespace": SYSTEM_NAMESPACE });
        for (kind, name) in [
            ("httproutes.gateway.networking.k8s.io", format!("{service}-kserve-route")),
            ("inferencepools.inference.networking.k8s.io", format!("{service}-inference-pool")),
        ] {
            let generation = self.object(kind, &name)?["metadata"]["generation"].as_i64().unwrap_or_default();
            let conditions =
                json!([condition("Accepted", generation), condition("ResolvedRefs", generation)]);
            let patch = json!({ "status": { "parents": [
                { "parentRef": parent, "controllerName": "example.com/gateway", "conditions": conditions },
            ] } });
            let patch = patch.to_string();
            self.kubectl(&["patch", kind, &name, "--subresource=status", "--type=merge", "-p", &patch])?;
        }
        Ok(())
    }

    /// See [`Installation::eventually`].
    pub(super) fn eventually<T>(&self, what: &str, found: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        self.installation.eventually(what, found)
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        // The cluster ends with the last story; this only keeps the others' views small.
        let _ = self.installation.cluster.kubectl(&["delete", "namespace", &self.namespace, "--wait=false"]);
    }
}
