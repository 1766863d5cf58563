//! One Deployment behind a gateway: made, ready, changed, deleted.

use anyhow::Result;
use serde_json::json;

use super::story::Story;

const SERVICE: &str = "
apiVersion: serving.kserve.io/v1alpha2
kind: LLMInferenceService
metadata: {name: tiny}
spec:
  model: {uri: 'hf://org/tiny', name: tiny}
  replicas: 2
  router: {route: {}, gateway: {}, scheduler: {}}
";

#[test]
fn a_service_becomes_ready_follows_an_edit_and_goes() -> Result<()> {
    let Some(story) = Story::begin("single-node")? else { return Ok(()) };
    story.apply(SERVICE)?;
    story.accept_route("tiny")?;
    story.condition("tiny", "Ready", "True")?;

    let service = story.object("llminferenceservice", "tiny")?;
    assert_eq!(service["status"]["url"], "http://203.0.113.7/single-node/tiny");
    assert_eq!(service["status"]["workloads"]["primary"]["readyReplicas"], 2);
    assert_eq!(service["status"]["observedGeneration"], service["metadata"]["generation"]);
    let deployment = story.object("deployment", "tiny-kserve")?;
    assert_eq!(deployment["metadata"]["ownerReferences"][0]["uid"], service["metadata"]["uid"]);

    story.kubectl(&[
        "patch",
        "llmisvc/tiny",
        "--type=merge",
        "-p",
        &json!({ "spec": { "replicas": 3 } }).to_string(),
    ])?;
    story.eventually("the Deployment has 3 replicas", || {
        Ok((story.object("deployment", "tiny-kserve")?["spec"]["replicas"] == 3).then_some(()))
    })?;

    story.kubectl(&["delete", "llmisvc/tiny", "--timeout=60s"])?;
    story.gone("deployment", "tiny-kserve")?;
    story.gone("service", "tiny-kserve-workload-svc")
}
