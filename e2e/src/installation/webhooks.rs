//! The installation's webhooks: where the API server finds them, and that it really uses them.
//!
//! A ready controller has written its CA bundle, but the API server begins to trust it a moment later. Until then it
//! refuses to convert and to admit, so an installation counts as started only when both work.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Installation, root};

const CRDS: [&str; 2] = ["llminferenceservices", "llminferenceserviceconfigs"];

/// Objects of the version that is not stored, so the API server converts them to admit, store and return them.
const ADMITTED: &str = "
apiVersion: serving.kserve.io/v1alpha1
kind: LLMInferenceService
metadata: {name: probe, namespace: default}
spec: {model: {uri: 'hf://org/model'}}
---
apiVersion: serving.kserve.io/v1alpha1
kind: LLMInferenceServiceConfig
metadata: {name: probe, namespace: default}
spec: {model: {uri: 'hf://org/model'}}
";

/// Objects that no schema refuses but a webhook does, and a part of what it says.
const REFUSED: [(&str, &str); 2] = [
    (
        "
apiVersion: serving.kserve.io/v1alpha1
kind: LLMInferenceService
metadata: {name: probe, namespace: default, annotations: {serving.kserve.io/exp-dra-device-count: '2'}}
spec: {model: {uri: 'hf://org/model'}}
",
        "add that, or remove it",
    ),
    (
        "
apiVersion: serving.kserve.io/v1alpha1
kind: LLMInferenceServiceConfig
metadata: {name: probe, namespace: default}
spec: {template: {containers: [{name: main, args: ['{{ if']}]}}
",
        "cannot be rendered",
    ),
];

impl Installation {
    /// Points the webhooks of the chart at the controller's port of loopback.
    ///
    /// # Errors
    /// When the API server refuses.
    pub fn register_webhooks(&self) -> Result<()> {
        let port = self.webhook;
        let text = std::fs::read_to_string(root().join("charts/llmd-controller/files/webhooks.yaml"))?;
        let url = |path: &str| format!("https://127.0.0.1:{port}{path}");
        let mut documents: Vec<Value> = serde_saphyr::from_multiple(&text)?;
        for hook in documents.iter_mut().filter_map(|it| it["webhooks"].as_array_mut()).flatten() {
            let path = hook["clientConfig"]["service"]["path"].as_str().unwrap_or_default().to_owned();
            hook["clientConfig"] = serde_json::json!({ "url": url(&path) });
        }
        for document in &documents {
            self.cluster.apply(&document.to_string())?;
        }
        for crd in CRDS {
            let patch = serde_json::json!({ "spec": { "conversion": { "strategy": "Webhook", "webhook": {
                "conversionReviewVersions": ["v1"],
                "clientConfig": { "service": null, "url": url("/convert") },
            } } } });
            let name = format!("crd/{crd}.serving.kserve.io");
            self.cluster.kubectl(&["patch", &name, "--type=merge", "-p", &patch.to_string()])?;
        }
        Ok(())
    }

    /// Whether the API server has objects defaulted, judged and converted by the controller. Nothing is stored.
    ///
    /// # Errors
    /// What does not work yet.
    pub fn webhooks_work(&self) -> Result<()> {
        let dry_run = ["create", "--dry-run=server", "-o", "json", "-f", "-"];
        let admitted = self.cluster.kubectl_with_input(&dry_run, ADMITTED)?;
        let mut admitted = serde_json::Deserializer::from_str(&admitted).into_iter::<Value>();
        let service = admitted.next().context("kubectl printed nothing")??;
        ensure!(service["spec"]["model"]["name"] == "probe", "the model's name is not defaulted: {service}");
        for (manifest, advice) in REFUSED {
            let refused = self.cluster.kubectl_with_input(&dry_run, manifest).err();
            let refused = refused.with_context(|| format!("admitted: {manifest}"))?.to_string();
            ensure!(refused.contains(advice), "{refused}");
        }
        Ok(())
    }
}
