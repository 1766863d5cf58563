//! Pods that die without a word: what was in them ends in an error, everything else goes on.

use anyhow::{Context as _, Result, ensure};
use llmd_e2e::golden;
use serde_json::json;

use crate::load::Load;
use crate::stack::{self, MODEL, SYSTEM};
use crate::world::{Reach, World};

const ENGINE: &str = "engine-dies";
const ROUTER: &str = "router-dies";
/// Labels of pods.
const WORKLOAD: &str = "app.kubernetes.io/component=llminferenceservice-workload";
const PICKER: &str = "app.kubernetes.io/component=llminferenceservice-router-scheduler";
const CONTROLLER: &str = "app.kubernetes.io/name=llmd-controller";

/// The engine in the middle of a stream: the stream breaks off, it does not hang and does not pretend to be whole.
pub(crate) fn engine(world: &World) -> Result<()> {
    let entrance = stack::serve(world, ENGINE, &json!({ "replicas": 1 }))?;
    let long = json!({
        "model": MODEL,
        "messages": [{ "role": "user", "content": "What is prefill?" }],
        "temperature": 0, "max_tokens": 1900, "ignore_eos": true, "n": 16, "stream": true,
    });
    let dying = pods(world, ENGINE, WORKLOAD)?;
    let text = world.block_on(async {
        let mut stream = entrance.client().stream("/v1/chat/completions", &long).await?;
        let first = stream.next().await?.context("a stream has a first piece")?;
        // The pod's end is waited for here: the stream's pieces pile up meanwhile.
        kill(world, ENGINE, WORKLOAD)?;
        Ok(stream.chat_text(first).await)
    })?;
    ensure!(text.is_err(), "the stream was over before its engine died");
    replaced(world, ENGINE, WORKLOAD, &dying)?;
    answers_again(world, &entrance)
}

/// The endpoint picker, then the controller: a service needs the controller to change, not to answer.
pub(crate) fn router(world: &World) -> Result<()> {
    let entrance = stack::serve(world, ROUTER, &json!({ "replicas": 1 }))?;
    let dying = pods(world, ROUTER, PICKER)?;
    kill(world, ROUTER, PICKER)?;
    replaced(world, ROUTER, PICKER, &dying)?;
    answers_again(world, &entrance)?;
    let controller = pods(world, SYSTEM, CONTROLLER)?;
    let load = Load::start(&entrance);
    let done = kill(world, SYSTEM, CONTROLLER).and_then(|()| {
        replaced(world, SYSTEM, CONTROLLER, &controller)?;
        scaled(world, 2)
    });
    let answers = load.finish();
    done?;
    println!("  {} requests while the controller came back", answers?);
    Ok(())
}

/// The service follows its scale subresource.
fn scaled(world: &World, replicas: u32) -> Result<()> {
    let replicas = replicas.to_string();
    world.eventually("the webhooks let the service be scaled", || {
        let scale = ["-n", ROUTER, "scale", "llmisvc/tiny", &format!("--replicas={replicas}")];
        world.kubectl().run(&scale).map(Some)
    })?;
    world.eventually("the engines follow", || {
        let ready = world.field(ROUTER, &["deployment", "tiny-kserve"], "{.status.readyReplicas}")?;
        Ok((ready == replicas).then_some(()))
    })
}

/// Ends the pods at once, without their knowing.
fn kill(world: &World, namespace: &str, label: &str) -> Result<()> {
    let delete =
        ["-n", namespace, "delete", "pods", "-l", label, "--force", "--grace-period=0", "--wait=false"];
    let deleted = world.kubectl().run(&delete)?;
    ensure!(deleted.contains("deleted"), "there is no pod {label}");
    Ok(())
}

/// Names of pods.
fn pods(world: &World, namespace: &str, label: &str) -> Result<String> {
    world.field(namespace, &["pods", "-l", label], "{.items[*].metadata.name}")
}

/// Waits until other pods than `dead` are ready.
fn replaced(world: &World, namespace: &str, label: &str, dead: &str) -> Result<()> {
    let ready = "{.items[*].status.conditions[?(@.type==\"Ready\")].status}";
    world.eventually("another pod takes the dead one's place", || {
        let is_other = pods(world, namespace, label)? != dead;
        let is_ready = world.field(namespace, &["pods", "-l", label], ready)? == "True";
        Ok((is_other && is_ready).then_some(()))
    })
}

/// The exact answer, as soon as another pod has taken the dead one's place.
fn answers_again(world: &World, entrance: &Reach) -> Result<()> {
    let case = golden::case("What is prefill?")?;
    let text = world.eventually("the service answers again", || {
        world.block_on(entrance.client().chat_text(MODEL, &case.messages)).map(Some)
    })?;
    ensure!(text == case.text, "the answer is {text:?}, not {:?}", case.text);
    Ok(())
}
