//! Objects that were there before: those of another implementation are taken over in place, those of somebody else
//! are left alone.

use anyhow::Result;
use serde_json::json;

use super::story::Story;

/// Does nothing until the annotation goes, so that there is time to put objects in the way.
const STOPPED: &str = "
apiVersion: serving.kserve.io/v1alpha2
kind: LLMInferenceService
metadata: {name: tiny, annotations: {serving.kserve.io/stop: 'true'}}
spec:
  model: {uri: 'hf://org/tiny', name: tiny}
  replicas: 1
";

/// A Deployment of the service's name, with a label and a variable that the service does not ask for.
fn deployment(owner: &str) -> String {
    format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata:
  name: tiny-kserve
  labels: {{app.kubernetes.io/part-of: llminferenceservice, app.kubernetes.io/name: tiny, old: label}}
  ownerReferences: {owner}
spec:
  selector: {{matchLabels: {{app.kubernetes.io/name: tiny, kserve.io/component: workload}}}}
  template:
    metadata:
      labels: {{app.kubernetes.io/name: tiny, kserve.io/component: workload, old: label}}
    spec:
      hostNetwork: true
      containers: [{{name: main, image: 'example.com/old:1', env: [{{name: OLD, value: variable}}]}}]
"
    )
}

fn start(story: &Story) -> Result<()> {
    story.kubectl(&["annotate", "llmisvc/tiny", "serving.kserve.io/stop-"]).map(drop)
}

fn create(story: &Story, manifest: &str) -> Result<()> {
    let arguments = [
        "-n",
        story.namespace.as_str(),
        "create",
        "--field-manager=manager",
        "--save-config=false",
        "-f",
        "-",
    ];
    story.installation.cluster.kubectl_with_input(&arguments, manifest).map(drop)
}

#[test]
fn an_object_of_another_implementation_is_taken_over_in_place() -> Result<()> {
    let Some(story) = Story::begin("adoption-ours")? else { return Ok(()) };
    // While a config is missing the objects of a service stay as they are.
    story.apply(
        &STOPPED
            .replace("annotations: {serving.kserve.io/stop: 'true'}", "")
            .replace("spec:", "spec:\n  baseRefs: [{name: later}]"),
    )?;
    story.condition("tiny", "PresetsCombined", "False")?;
    let service = story.object("llminferenceservice", "tiny")?;
    let owner = json!([{ "apiVersion": "serving.kserve.io/v1alpha2", "kind": "LLMInferenceService", "name": "tiny",
                         "uid": service["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true }]);
    create(&story, &deployment(&owner.to_string()))?;
    let before = story.object("deployment", "tiny-kserve")?;
    story.apply(
        "{apiVersion: serving.kserve.io/v1alpha2, kind: LLMInferenceServiceConfig, metadata: {name: later},
          spec: {storageInitializer: {enabled: true}}}",
    )?;
    let after = story.eventually("the other implementation's fields are gone", || {
        let live = story.object("deployment", "tiny-kserve")?;
        let pod = &live["spec"]["template"]["spec"];
        let has_variable =
            pod["containers"][0]["env"].as_array().is_some_and(|it| it.iter().any(|it| it["name"] == "OLD"));
        let is_clean =
            live["metadata"]["labels"]["old"].is_null() && pod["hostNetwork"].is_null() && !has_variable;
        Ok(is_clean.then_some(live))
    })?;
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    assert_eq!(after["spec"]["selector"], before["spec"]["selector"]);
    assert_ne!(after["spec"]["template"]["spec"]["containers"][0]["image"], "example.com/old:1");
    Ok(())
}

#[test]
fn an_object_of_somebody_else_is_left_alone() -> Result<()> {
    let Some(story) = Story::begin("adoption-theirs")? else { return Ok(()) };
    create(&story, "{apiVersion: v1, kind: ConfigMap, metadata: {name: owner}}")?;
    let owner = story.object("configmap", "owner")?;
    let owner = json!([{ "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"],
                         "controller": true }]);
    create(&story, &deployment(&owner.to_string()))?;
    story.apply(STOPPED)?;
    start(&story)?;
    let condition = story.condition("tiny", "MainWorkloadReady", "False")?;
    let reason = story.eventually("the refusal is reported", || {
        let condition = story.condition("tiny", "MainWorkloadReady", "False")?;
        let message = condition["message"].as_str().unwrap_or_default().to_owned();
        Ok(message.contains("not controlled by LLMInferenceService").then_some(condition["reason"].clone()))
    })?;
    assert_eq!(reason, "ReconcileSingleNodeWorkloadError", "{condition}");
    let theirs = story.object("deployment", "tiny-kserve")?;
    assert_eq!(theirs["metadata"]["ownerReferences"][0]["name"], "owner");
    assert_eq!(theirs["spec"]["template"]["spec"]["hostNetwork"], true);

    // It goes on as soon as the name is free.
    story.kubectl(&["delete", "deployment", "tiny-kserve"])?;
    story.eventually("the service makes its own", || {
        let deployment = story.find("deployment", "tiny-kserve")?;
        Ok(deployment.filter(|it| it["metadata"]["ownerReferences"][0]["name"] == "tiny"))
    })?;
    Ok(())
}
