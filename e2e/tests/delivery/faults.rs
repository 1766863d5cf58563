//! Pods that die without a word: what was in them ends in an error, everything else goes on.

use anyhow::{Result, ensure};
use bytes::Bytes;
use serde_json::json;

use crate::load::Load;
use crate::stack::{self, SYSTEM};
use crate::victims::{answers_again, kill, long_stream, pods, replaced};
use crate::world::World;

const ENGINE: &str = "engine-dies";
const ROUTER: &str = "router-dies";
/// Labels of pods.
const WORKLOAD: &str = "app.kubernetes.io/component=llminferenceservice-workload";
const PICKER: &str = "app.kubernetes.io/component=llminferenceservice-router-scheduler";
const CONTROLLER: &str = "app.kubernetes.io/name=llmd-controller";

/// The engine in the middle of a stream: the stream breaks off, it does not hang and does not pretend to be whole.
pub(crate) fn engine(world: &World) -> Result<()> {
    let entrance = stack::serve(world, ENGINE, &json!({ "replicas": 1 }))?;
    let dying = pods(world, ENGINE, WORKLOAD)?;
    let text = world.block_on(async {
        let stream = long_stream(&entrance).await?;
        // The pod's end is waited for here: the stream's pieces pile up meanwhile.
        kill(world, ENGINE, WORKLOAD)?;
        Ok(stream.chat_text(Bytes::new()).await)
    })?;
    ensure!(text.is_err(), "the stream was over before its engine died");
    replaced(world, ENGINE, WORKLOAD, &dying, &dying)?;
    answers_again(world, &entrance)
}

/// The endpoint picker, then the controller: a service needs the controller to change, not to answer.
pub(crate) fn router(world: &World) -> Result<()> {
    let entrance = stack::serve(world, ROUTER, &json!({ "replicas": 1 }))?;
    let dying = pods(world, ROUTER, PICKER)?;
    kill(world, ROUTER, PICKER)?;
    replaced(world, ROUTER, PICKER, &dying, &dying)?;
    answers_again(world, &entrance)?;
    let controller = pods(world, SYSTEM, CONTROLLER)?;
    let load = Load::start(&entrance);
    let done = kill(world, SYSTEM, CONTROLLER).and_then(|()| {
        replaced(world, SYSTEM, CONTROLLER, &controller, &controller)?;
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
