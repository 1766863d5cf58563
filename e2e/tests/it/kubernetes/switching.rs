//! One service goes through every layout: what the old one had is gone, what the new one needs is there.

use anyhow::Result;
use serde_json::{Value, json};

use super::objects::{
    MULTI_NODE, MULTI_NODE_PREFILL, MULTI_NODE_SIDECAR, PREFILL, ROUTE, SCHEDULER, SIDECAR, SINGLE_NODE,
};
use super::story::Story;

const SERVICE: &str = "
apiVersion: serving.kserve.io/v1alpha2
kind: LLMInferenceService
metadata: {name: changing}
spec:
  model: {uri: 'hf://org/tiny', name: tiny}
";

#[test]
fn a_service_changes_its_layout_and_leaves_nothing_behind() -> Result<()> {
    let Some(story) = Story::begin("switching")? else { return Ok(()) };
    let become_ = |spec: Value| story.patch("llmisvc/changing", &json!({ "spec": spec }));
    story.apply(SERVICE)?;
    story.has_exactly("changing", &[SINGLE_NODE])?;
    story.condition("changing", "Ready", "True")?;

    // A router, then disaggregation: the role of the running Deployment's pods changes under its fixed selector.
    become_(json!({ "router": { "route": {}, "scheduler": {} } }))?;
    story.has_exactly("changing", &[SINGLE_NODE, SCHEDULER, ROUTE])?;
    become_(json!({ "prefill": {} }))?;
    story.has_exactly("changing", &[SINGLE_NODE, SCHEDULER, ROUTE, PREFILL, SIDECAR])?;
    story.eventually("the pods decode", || {
        let pod = story.object("deployment", "changing-kserve")?["spec"]["template"].clone();
        Ok((pod["metadata"]["labels"]["llm-d.ai/role"] == "decode").then_some(()))
    })?;
    story.accept_route("changing")?;
    story.condition("changing", "Ready", "True")?;

    // A group of one pod: the size, which no service may change, stays 1.
    let groups = json!({ "worker": {}, "parallelism": { "data": 1, "dataLocal": 1 } });
    become_(json!({ "worker": groups["worker"], "parallelism": groups["parallelism"], "prefill": groups }))?;
    let shared: &[&[&str]] = &[MULTI_NODE, MULTI_NODE_SIDECAR, SCHEDULER, ROUTE];
    story.has_exactly("changing", &[shared, &[MULTI_NODE_PREFILL]].concat())?;
    story.groups_run("changing-kserve-mn", 1)?;
    story.groups_run("changing-kserve-mn-prefill", 1)?;
    story.condition("changing", "Ready", "True")?;
    let conditions = story.object("llminferenceservice", "changing")?["status"]["conditions"].clone();
    assert!(!conditions.to_string().contains("MainWorkloadReady"), "{conditions}");

    become_(json!({ "prefill": null }))?;
    story.has_exactly("changing", &[MULTI_NODE, SCHEDULER, ROUTE])?;

    become_(json!({ "worker": null, "parallelism": null, "router": null }))?;
    story.has_exactly("changing", &[SINGLE_NODE])?;
    story.condition("changing", "Ready", "True")?;
    let status = story.object("llminferenceservice", "changing")?["status"].clone();
    assert_eq!(status["mode"], "single");
    assert_eq!(status["router"], Value::Null);
    assert!(!status["conditions"].to_string().contains("WorkerWorkloadReady"), "{}", status["conditions"]);
    story.delete_service("changing")
}
