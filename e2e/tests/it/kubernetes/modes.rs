//! Every layout of a service: its objects appear under their public names, follow an edit and go with it.

use anyhow::Result;
use serde_json::{Value, json};

use super::objects::{
    MULTI_NODE, MULTI_NODE_PREFILL, MULTI_NODE_SIDECAR, PREFILL, ROUTE, SCHEDULER, SIDECAR, SINGLE_NODE,
};
use super::story::Story;

fn manifest(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: serving.kserve.io/v1alpha2\nkind: LLMInferenceService\nmetadata: {{name: {name}}}\n\
         spec:\n  model: {{uri: 'hf://org/tiny', name: tiny}}\n{spec}"
    )
}

/// The labels of a child and of its pods, without what only some have.
fn labels<'a>(object: &'a Value, path: &str) -> (&'a Value, &'a Value, &'a Value, &'a Value) {
    let labels = object.pointer(path).unwrap_or(&Value::Null);
    (
        &labels["app.kubernetes.io/name"],
        &labels["app.kubernetes.io/component"],
        &labels["kserve.io/component"],
        &labels["llm-d.ai/role"],
    )
}

#[test]
fn a_single_node_service_is_one_deployment_behind_a_service() -> Result<()> {
    let Some(story) = Story::begin("mode-single")? else { return Ok(()) };
    story.apply(&manifest("one", "  replicas: 2\n"))?;
    story.has_exactly("one", &[SINGLE_NODE])?;
    story.condition("one", "Ready", "True")?;

    let service = story.object("llminferenceservice", "one")?;
    assert_eq!(service["status"]["mode"], "single");
    assert_eq!(service["status"]["replicas"], 2);
    assert_eq!(service["status"]["workloads"]["primary"]["name"], "one-kserve");
    assert_eq!(
        service["status"]["addresses"][0]["url"],
        "http://one-kserve-workload-svc.mode-single.svc.cluster.local:8000"
    );
    let deployment = story.object("deployment", "one-kserve")?;
    let expected =
        (&json!("one"), &json!("llminferenceservice-workload"), &json!("workload"), &json!("both"));
    assert_eq!(labels(&deployment, "/metadata/labels"), expected);
    assert_eq!(labels(&deployment, "/spec/template/metadata/labels"), expected);
    let port = &story.object("service", "one-kserve-workload-svc")?["spec"]["ports"][0];
    assert_eq!((&port["name"], &port["port"]), (&json!("http"), &json!(8000)));

    story.patch("llmisvc/one", &json!({ "spec": { "replicas": 3, "labels": { "team": "a" } } }))?;
    story.eventually("pods carry the new label", || {
        let spec = &story.object("deployment", "one-kserve")?["spec"];
        let labelled = spec["template"]["metadata"]["labels"]["team"] == "a";
        assert_eq!(spec["selector"]["matchLabels"]["team"], Value::Null);
        Ok((labelled && spec["replicas"] == 3).then_some(()))
    })?;
    story.delete_service("one")
}

#[test]
fn a_disaggregated_service_has_two_deployments_and_a_sidecar_that_may_read_its_pool() -> Result<()> {
    let Some(story) = Story::begin("mode-pd")? else { return Ok(()) };
    let spec = "  router: {route: {}, gateway: {}, scheduler: {}}\n  prefill: {replicas: 2}\n";
    story.apply(&manifest("pd", spec))?;
    story.has_exactly("pd", &[SINGLE_NODE, PREFILL, SIDECAR, SCHEDULER, ROUTE])?;
    story.accept_route("pd")?;
    story.condition("pd", "PrefillWorkloadReady", "True")?;
    story.condition("pd", "Ready", "True")?;

    let service = story.object("llminferenceservice", "pd")?;
    assert_eq!(service["status"]["mode"], "disaggregated");
    assert_eq!(service["status"]["workloads"]["prefill"]["name"], "pd-kserve-prefill");
    assert_eq!(service["status"]["workloads"]["prefill"]["readyReplicas"], 2);
    assert_eq!(service["status"]["workloads"]["scheduler"]["name"], "pd-kserve-router-scheduler");
    let decode = story.object("deployment", "pd-kserve")?;
    assert_eq!(labels(&decode, "/spec/template/metadata/labels").3, "decode");
    let pod = &decode["spec"]["template"]["spec"];
    assert_eq!(pod["serviceAccountName"], "pd-kserve");
    assert_eq!(pod["initContainers"][0]["name"], "llm-d-routing-sidecar");
    let env = pod["initContainers"][0]["env"].as_array().cloned().unwrap_or_default();
    assert!(env.contains(&json!({ "name": "INFERENCE_POOL_NAME", "value": "pd-inference-pool" })), "{env:?}");
    let prefill = story.object("deployment", "pd-kserve-prefill")?;
    let expected =
        (&json!("pd"), &json!("llminferenceservice-workload-prefill"), &json!("workload"), &json!("prefill"));
    assert_eq!(labels(&prefill, "/metadata/labels"), expected);
    let binding = story.object("rolebinding", "pd-kserve-rb")?;
    assert_eq!(binding["subjects"][0]["name"], "pd-kserve");
    assert_eq!(binding["roleRef"]["name"], "pd-kserve-role");

    story.patch("llmisvc/pd", &json!({ "spec": { "prefill": { "replicas": 1 } } }))?;
    story.eventually("one prefill replica", || {
        Ok((story.object("deployment", "pd-kserve-prefill")?["spec"]["replicas"] == 1).then_some(()))
    })?;
    story.delete_service("pd")
}

#[test]
fn a_data_parallel_service_is_a_leader_worker_set_and_ready_when_that_is_available() -> Result<()> {
    let Some(story) = Story::begin("mode-dp")? else { return Ok(()) };
    let spec =
        "  replicas: 2\n  parallelism: {data: 4, dataLocal: 2, tensor: 1, expert: true}\n  worker: {}\n";
    story.apply(&manifest("dp", spec))?;
    story.has_exactly("dp", &[MULTI_NODE])?;
    story.condition("dp", "WorkerWorkloadReady", "False")?;
    story.condition("dp", "Ready", "False")?;
    let set = story.object("leaderworkerset", "dp-kserve-mn")?;
    assert_eq!(set["spec"]["replicas"], 2);
    let template = &set["spec"]["leaderWorkerTemplate"];
    assert_eq!(template["size"], 2);
    assert_eq!(template["restartPolicy"], "RecreateGroupOnPodRestart");
    assert_eq!(set["spec"]["startupPolicy"], "LeaderCreated");
    let leader = labels(template, "/leaderTemplate/metadata/labels");
    let expected =
        (&json!("dp"), &json!("llminferenceservice-workload-leader"), &json!("workload"), &json!("both"));
    assert_eq!(leader, expected);
    let worker = labels(template, "/workerTemplate/metadata/labels");
    // Every pod of a data-parallel group answers requests, so the workers are in the pool too.
    assert_eq!((worker.1, worker.2), (&json!("llminferenceservice-workload-worker"), &json!("workload")));
    assert_eq!(template["workerTemplate"]["spec"]["serviceAccountName"], "dp-kserve-mn");

    story.groups_run("dp-kserve-mn", 2)?;
    story.condition("dp", "WorkerWorkloadReady", "True")?;
    story.condition("dp", "Ready", "True")?;
    let status = story.object("llminferenceservice", "dp")?["status"].clone();
    assert_eq!(status["mode"], "multi-node");
    assert_eq!(status["workloads"]["primary"]["kind"], "LeaderWorkerSet");
    assert_eq!(status["workloads"]["primary"]["readyReplicas"], 2);
    assert_eq!(status["replicas"], 2);

    story.patch("llmisvc/dp", &json!({ "spec": { "replicas": 1 } }))?;
    story.eventually("one group", || {
        Ok((story.object("leaderworkerset", "dp-kserve-mn")?["spec"]["replicas"] == 1).then_some(()))
    })?;
    story.delete_service("dp")
}

#[test]
fn a_pipeline_parallel_service_has_one_pod_a_stage() -> Result<()> {
    let Some(story) = Story::begin("mode-pp")? else { return Ok(()) };
    story.apply(&manifest("pp", "  parallelism: {pipeline: 3}\n  worker: {}\n"))?;
    story.has_exactly("pp", &[MULTI_NODE])?;
    story.groups_run("pp-kserve-mn", 1)?;
    story.condition("pp", "Ready", "True")?;
    let template = story.object("leaderworkerset", "pp-kserve-mn")?["spec"]["leaderWorkerTemplate"].clone();
    assert_eq!(template["size"], 3);
    assert_eq!(labels(&template, "/leaderTemplate/metadata/labels").2, "workload");
    // Only the first stage answers requests.
    assert_eq!(labels(&template, "/workerTemplate/metadata/labels").2, &Value::Null);
    let refused = story.kubectl(&[
        "patch",
        "llmisvc/pp",
        "--type=merge",
        "-p",
        &json!({ "spec": { "parallelism": { "pipeline": 4 } } }).to_string(),
    ]);
    let message = refused.expect_err("the size of a group cannot change").to_string();
    assert!(message.contains("spec.parallelism"), "{message}");
    story.delete_service("pp")
}

#[test]
fn prefill_over_several_nodes_is_a_leader_worker_set_of_its_own() -> Result<()> {
    let Some(story) = Story::begin("mode-pd-mn")? else { return Ok(()) };
    let spec = "  router: {route: {}, scheduler: {}}\n  parallelism: {data: 2, dataLocal: 1}\n  worker: {}\n\
                \x20 prefill:\n    parallelism: {data: 4, dataLocal: 1}\n    worker: {}\n";
    story.apply(&manifest("big", spec))?;
    story.has_exactly("big", &[MULTI_NODE, MULTI_NODE_SIDECAR, MULTI_NODE_PREFILL, SCHEDULER, ROUTE])?;
    let prefill = story.object("leaderworkerset", "big-kserve-mn-prefill")?;
    let template = &prefill["spec"]["leaderWorkerTemplate"];
    assert_eq!(template["size"], 4);
    assert_eq!(template["subGroupPolicy"]["subGroupSize"], 4);
    let leader = labels(template, "/leaderTemplate/metadata/labels");
    assert_eq!(
        (leader.1, leader.3),
        (&json!("llminferenceservice-workload-leader-prefill"), &json!("prefill"))
    );

    story.groups_run("big-kserve-mn", 1)?;
    story.condition("big", "WorkerWorkloadReady", "True")?;
    story.condition("big", "PrefillWorkerWorkloadReady", "False")?;
    story.condition("big", "Ready", "False")?;
    story.groups_run("big-kserve-mn-prefill", 1)?;
    story.accept_route("big")?;
    story.condition("big", "Ready", "True")?;
    let status = story.object("llminferenceservice", "big")?["status"].clone();
    assert_eq!(status["mode"], "disaggregated+multi-node");
    assert_eq!(status["workloads"]["prefill"]["name"], "big-kserve-mn-prefill");
    story.delete_service("big")
}
