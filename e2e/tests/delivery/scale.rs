//! More engines and fewer: by `kubectl scale`, by a stop, and by an autoscaler that reads the engines' CPU time. All go
//! through the service's scale subresource, and no request fails while the number changes.

use anyhow::{Result, ensure};
use llmd_e2e::golden;
use serde_json::{Value, json};

use crate::answers;
use crate::hello;
use crate::load::Load;
use crate::stack::{self, WORKLOAD};
use crate::victims::answers_again;
use crate::world::{Reach, World};

const BY_HAND: &str = "scale";
const BY_ITSELF: &str = "autoscale";
/// Port of the pods that answer.
const ENGINE: u16 = 8000;
const MOST: u32 = 3;

pub(crate) fn story(world: &World) -> Result<()> {
    let entrance = stack::serve(world, BY_HAND, &json!({ "replicas": 1 }))?;
    let load = Load::start(&entrance);
    let done = scale(world, BY_HAND, MOST).and_then(|()| {
        all_answer(world, &entrance)?;
        scale(world, BY_HAND, 1)
    });
    let answers = load.finish();
    done?;
    println!("  {} requests while there were 1, {MOST} and 1 engines, none failed", answers?);
    stop_and_start(world, &entrance)
}

/// An autoscaler on the service itself.
pub(crate) fn autoscaler(world: &World) -> Result<()> {
    let resources = json!({ "requests": { "cpu": "100m", "memory": "128Mi" } });
    let spec = json!({
        "replicas": 1,
        "template": { "containers": [{ "name": "main", "resources": resources }] },
    });
    let entrance = stack::serve(world, BY_ITSELF, &spec)?;
    hello::apply(world, BY_ITSELF, &horizontal_pod_autoscaler().to_string())?;
    world.eventually("the idle engine is measured", || {
        let path = "{.status.currentMetrics[0].resource.current.averageUtilization}";
        let utilization = world.field(BY_ITSELF, &["hpa", "tiny"], path)?;
        Ok(utilization.parse::<u32>().is_ok_and(|it| it < 50).then_some(()))
    })?;
    let load = Load::start(&entrance);
    let grown = engines(world, BY_ITSELF, MOST);
    let answers = load.finish();
    grown?;
    println!("  {} requests while the autoscaler went to {MOST}, none failed", answers?);
    engines(world, BY_ITSELF, 1)?;
    answers_again(world, &entrance)
}

fn horizontal_pod_autoscaler() -> Value {
    let target = json!({ "type": "Utilization", "averageUtilization": 50 });
    json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": { "name": "tiny" },
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "serving.kserve.io/v1alpha2", "kind": "LLMInferenceService", "name": "tiny",
            },
            "minReplicas": 1,
            "maxReplicas": MOST,
            "metrics": [{ "type": "Resource", "resource": { "name": "cpu", "target": target } }],
            // Not the five minutes that an operator would want.
            "behavior": { "scaleDown": { "stabilizationWindowSeconds": 0 } },
        },
    })
}

/// As a user does it: the service follows, as soon as the controller's webhooks are there.
pub(crate) fn scale(world: &World, namespace: &str, replicas: u32) -> Result<()> {
    let replicas_flag = format!("--replicas={replicas}");
    world.eventually("the webhooks let the service be scaled", || {
        world.kubectl().run(&["-n", namespace, "scale", "llmisvc/tiny", &replicas_flag]).map(Some)
    })?;
    engines(world, namespace, replicas)
}

/// Waits until so many engines are ready, and no other pod of them is left.
fn engines(world: &World, namespace: &str, n_engines: u32) -> Result<()> {
    world.eventually(&format!("there are {n_engines} engines"), || {
        let scale = world.field(namespace, &["llmisvc", "tiny"], "{.status.replicas}")?;
        let ready = world.field(namespace, &["deployment", "tiny-kserve"], "{.status.readyReplicas}")?;
        let n_pods = u32::try_from(world.pods(namespace, WORKLOAD)?.len())?;
        let wanted = n_engines.to_string();
        Ok((scale == wanted && ready == wanted && n_pods == n_engines).then_some(()))
    })
}

/// Different prompts reach every engine: a prompt returns to the engine that has it cached.
fn all_answer(world: &World, entrance: &Reach) -> Result<()> {
    let cases = golden::cases()?;
    let mut next = cases.iter().cycle();
    let answered = ("vllm:request_success_total", "");
    world.eventually("every engine has answered", || {
        for case in next.by_ref().take(cases.len()) {
            answers::whole(world, entrance, case)?;
        }
        let pods = world.pods(BY_HAND, WORKLOAD)?;
        let mut counts = pods.iter().map(|it| world.metric_of(BY_HAND, it, ENGINE, answered));
        Ok(counts.try_fold(true, |all, it| Ok::<_, anyhow::Error>(all && it? > 0.0))?.then_some(()))
    })
}

/// A stopped service has no pod and no entrance; started again, it answers as before.
fn stop_and_start(world: &World, entrance: &Reach) -> Result<()> {
    let annotate = ["-n", BY_HAND, "annotate", "llmisvc/tiny"];
    world.kubectl().run(&[annotate.as_slice(), &["serving.kserve.io/stop=true"]].concat())?;
    world.eventually("the service is stopped", || {
        let left = world.kubectl().run(&["-n", BY_HAND, "get", "deployments,pods", "-o", "name"])?;
        Ok(left.is_empty().then_some(()))
    })?;
    ensure!(world.get(entrance, "/v1/models").is_err(), "a stopped service answers");
    world.kubectl().run(&[annotate.as_slice(), &["serving.kserve.io/stop-"]].concat())?;
    world.eventually("the service begins to start", || {
        Ok((!world.field(BY_HAND, &["deployments"], "{.items[*].metadata.name}")?.is_empty()).then_some(()))
    })?;
    world.wait_for(BY_HAND, "llmisvc/tiny", "Ready")?;
    let entrance = stack::entrance(world, BY_HAND)?;
    answers_again(world, &entrance)
}
