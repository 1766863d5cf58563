//! Stopping, starting, scaling and deleting a service.

use anyhow::Result;
use serde_json::{Value, json};

use super::objects::{PREFILL, ROUTE, SCHEDULER, SIDECAR, SINGLE_NODE};
use super::story::Story;

const STOP: &str = "serving.kserve.io/stop";

fn service(name: &str, spec: &Value) -> String {
    let mut object = json!({
        "apiVersion": "serving.kserve.io/v1alpha2", "kind": "LLMInferenceService",
        "metadata": { "name": name },
        "spec": { "model": { "uri": "hf://org/tiny", "name": "tiny" } },
    });
    for (key, value) in spec.as_object().into_iter().flatten() {
        object["spec"][key] = value.clone();
    }
    object.to_string()
}

fn status(story: &Story, service: &str) -> Result<Value> {
    Ok(story.object("llminferenceservice", service)?["status"].clone())
}

#[test]
fn a_stopped_service_has_nothing_and_a_started_one_everything_again() -> Result<()> {
    let Some(story) = Story::begin("stop")? else { return Ok(()) };
    let spec = json!({ "router": { "route": {}, "scheduler": {} }, "prefill": {} });
    let parts = [SINGLE_NODE, PREFILL, SIDECAR, SCHEDULER, ROUTE];
    story.apply(&service("pausing", &spec))?;
    story.has_exactly("pausing", &parts)?;
    story.accept_route("pausing")?;
    story.condition("pausing", "Ready", "True")?;
    assert!(status(&story, "pausing")?["url"].is_string());

    story.kubectl(&["annotate", "llmisvc/pausing", &format!("{STOP}=True")])?;
    story.has_exactly("pausing", &[])?;
    assert_eq!(story.condition("pausing", "Ready", "False")?["reason"], "Stopped");
    assert_eq!(story.condition("pausing", "MainWorkloadReady", "False")?["reason"], "Stopped");
    let stopped = status(&story, "pausing")?;
    for field in ["url", "addresses", "router", "workloads"] {
        assert_eq!(stopped[field], Value::Null, "{field}");
    }

    story.kubectl(&["annotate", "llmisvc/pausing", &format!("{STOP}-")])?;
    story.has_exactly("pausing", &parts)?;
    story.accept_route("pausing")?;
    story.condition("pausing", "Ready", "True")?;
    assert!(status(&story, "pausing")?["url"].is_string());
    Ok(())
}

#[test]
fn kubectl_and_an_autoscaler_scale_the_service_itself() -> Result<()> {
    let Some(story) = Story::begin("scale")? else { return Ok(()) };
    story.apply(&service("elastic", &json!({ "replicas": 1 })))?;
    story.condition("elastic", "Ready", "True")?;
    story.kubectl(&["scale", "llmisvc/elastic", "--replicas=3"])?;
    story.eventually("three replicas are counted", || {
        Ok((status(&story, "elastic")?["replicas"] == 3).then_some(()))
    })?;
    let scale: Value = serde_json::from_str(&story.kubectl(&[
        "get",
        "--raw",
        "/apis/serving.kserve.io/v1alpha2/namespaces/scale/llminferenceservices/elastic/scale",
    ])?)?;
    assert_eq!((&scale["spec"]["replicas"], &scale["status"]["replicas"]), (&json!(3), &json!(3)));
    let selector = scale["status"]["selector"].as_str().unwrap_or_default().to_owned();
    let pods = story.kubectl(&["get", "pods", "-l", &selector, "-o", "name"])?;
    assert_eq!(pods.lines().count(), 3, "{selector}: {pods}");

    // Below its minimum an autoscaler acts at once, without a metric.
    story.kubectl(&["scale", "llmisvc/elastic", "--replicas=1"])?;
    let autoscaler = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": "own" },
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "serving.kserve.io/v1alpha2", "kind": "LLMInferenceService", "name": "elastic",
            },
            "minReplicas": 2, "maxReplicas": 4,
        },
    });
    story.apply(&autoscaler.to_string())?;
    story.eventually("the autoscaler's minimum runs", || {
        Ok((story.object("deployment", "elastic-kserve")?["status"]["replicas"] == 2).then_some(()))
    })
}

#[test]
fn scaling_makes_the_autoscaler_that_is_asked_for_and_removes_the_other() -> Result<()> {
    let Some(story) = Story::begin("scaling")? else { return Ok(()) };
    let trigger = json!({ "type": "cpu", "metadata": { "value": "60" } });
    let scaling = |actuator: Value| {
        let mut scaling = json!({ "minReplicas": 1, "maxReplicas": 3, "wva": null, "keda": null });
        scaling
            .as_object_mut()
            .into_iter()
            .for_each(|it| it.extend(actuator.as_object().cloned().unwrap_or_default()));
        json!({ "spec": { "scaling": scaling } })
    };
    story.apply(&service("scaled", &json!({})))?;
    story.has_exactly("scaled", &[SINGLE_NODE])?;

    story.patch("llmisvc/scaled", &scaling(json!({ "wva": { "hpa": {} } })))?;
    story.has_exactly("scaled", &[SINGLE_NODE, &["HorizontalPodAutoscaler/-kserve-hpa"]])?;
    let hpa = story.object("horizontalpodautoscaler", "scaled-kserve-hpa")?;
    let target = &hpa["spec"]["scaleTargetRef"];
    assert_eq!((&target["kind"], &target["name"]), (&json!("Deployment"), &json!("scaled-kserve")));
    assert_eq!(hpa["spec"]["metrics"][0]["external"]["metric"]["name"], "wva_desired_replicas");

    story.patch("llmisvc/scaled", &scaling(json!({ "keda": { "triggers": [trigger] } })))?;
    story.has_exactly("scaled", &[SINGLE_NODE, &["ScaledObject/-kserve-keda"]])?;
    let object = story.object("scaledobjects.keda.sh", "scaled-kserve-keda")?;
    assert_eq!(object["spec"]["triggers"], json!([trigger]));
    story.condition("scaled", "ScalingReady", "False")?;

    story.patch("llmisvc/scaled", &json!({ "spec": { "scaling": null } }))?;
    story.has_exactly("scaled", &[SINGLE_NODE])?;
    story.condition("scaled", "Ready", "True").map(drop)
}

#[test]
fn deletion_waits_for_what_has_no_owner() -> Result<()> {
    let Some(story) = Story::begin("deletion")? else { return Ok(()) };
    story.apply(&service("ending", &json!({ "router": { "route": {}, "scheduler": {} } })))?;
    story.has_exactly("ending", &[SINGLE_NODE, SCHEDULER, ROUTE])?;
    let object = story.object("llminferenceservice", "ending")?;
    assert_eq!(object["metadata"]["finalizers"], json!(["serving.kserve.io/llmisvc-finalizer"]));

    story.kubectl(&["delete", "llmisvc/ending", "--timeout=60s"])?;
    // The binding goes before the service does, not some time after.
    let selector = "app.kubernetes.io/name=ending";
    assert_eq!(story.kubectl(&["get", "clusterrolebinding", "-l", selector, "-o", "name"])?, "");
    story.has_exactly("ending", &[])
}
