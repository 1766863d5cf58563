//! Prefill and decode apart, under load: a decode pod that dies ends its streams in an error at once, a prefill pod
//! that dies ends none, and KV blocks move again as soon as another has taken its place. An engine that crashes costs
//! the requests that it holds: an error each, at once.

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use llmd_e2e::client::Stream;
use llmd_e2e::golden;
use serde_json::{Value, json};

use crate::answers;
use crate::load::{CLIENTS, Load, Tally};
use crate::stack::{self, DECODE, PREFILL};
use crate::victims::{
    AT_ONCE, answers_again, breaks_off, crash, kill, kill_pod, long_stream, replaced, restarted,
};
use crate::world::{Reach, World};

const DEATHS: &str = "disaggregated-dies";
const CRASHES: &str = "engines-crash";
/// Port of decode engines; the sidecar before them has 8000.
const ENGINE: u16 = 8001;
const TRANSFERRED: (&str, &str) = ("llmd:kv_transfer_bytes_total", "");
/// Of so many requests one may fail: a death costs what the pod holds, and what is sent there until it is known to be
/// gone.
const ONE_OF: usize = 4;

/// Pods that are deleted.
pub(crate) fn pods_die(world: &World) -> Result<()> {
    let entrance = serve(world, DEATHS)?;
    decode_dies(world, &entrance)?;
    prefill_dies(world, &entrance)
}

/// Processes that end without a word.
pub(crate) fn engines_crash(world: &World) -> Result<()> {
    let entrance = serve(world, CRASHES)?;
    let (decode, stream) = stream_of_one(world, CRASHES, &entrance)?;
    crash_under_load(world, &entrance, &decode, Some(stream))?;
    let prefill = world.pods(CRASHES, PREFILL)?.pop().context("there is a prefill pod")?;
    crash_under_load(world, &entrance, &prefill, None)?;
    let load = Load::start(&entrance);
    let moved = kv_moves(world, CRASHES);
    load.finish()?;
    moved
}

/// `held` is a stream that comes from the pod.
fn crash_under_load(world: &World, entrance: &Reach, pod: &str, held: Option<Stream>) -> Result<()> {
    let load = Load::start(entrance);
    world.eventually("requests are on their way", || Ok((load.n_answers() > 10).then_some(())))?;
    crash(world, CRASHES, pod)?;
    let n_answers = load.n_answers();
    held.map_or(Ok(()), |stream| breaks_off(world, stream))?;
    restarted(world, CRASHES, pod)?;
    ensure!(load.n_answers() > n_answers + CLIENTS, "nobody is answered while {pod} is down");
    answers_again(world, entrance)?;
    costs_little(&format!("{pod} crashed"), &load.end()?)
}

/// Few got an error, and whoever got one got it soon.
fn costs_little(what: &str, Tally { n_answers, failures }: &Tally) -> Result<()> {
    let n_failed = failures.len();
    println!("  {what}: {n_answers} answers, {n_failed} errors");
    if let Some(slowest) = failures.iter().max_by_key(|it| it.took) {
        println!("    the slowest after {:.1} s: {}", slowest.took.as_secs_f64(), slowest.why);
        ensure!(slowest.took < AT_ONCE, "a request took {:?} to fail: {}", slowest.took, slowest.why);
    }
    ensure!(
        n_failed * ONE_OF <= n_failed + n_answers,
        "{what}, and more than one of {ONE_OF} requests failed"
    );
    Ok(())
}

fn serve(world: &World, namespace: &'static str) -> Result<Reach> {
    let spec = json!({
        "replicas": 2,
        "prefill": { "replicas": 1 },
        "router": { "scheduler": { "config": { "inline": picker() } } },
    });
    let entrance = stack::serve(world, namespace, &spec)?;
    answers_again(world, &entrance)?;
    let moved = world.metric(namespace, DECODE, ENGINE, TRANSFERRED)?;
    ensure!(moved > 0.0, "no KV block has moved");
    Ok(entrance)
}

/// Every prompt goes through a prefill engine.
fn picker() -> Value {
    json!({
        "apiVersion": "llm-d.ai/v1alpha1",
        "kind": "EndpointPickerConfig",
        "plugins": [
            { "type": "prefill-filter" },
            { "type": "decode-filter" },
            { "type": "queue-scorer" },
            { "type": "always-disagg-pd-decider" },
            {
                "type": "disagg-profile-handler",
                "parameters": { "deciders": { "prefill": "always-disagg-pd-decider" } },
            },
        ],
        "schedulingProfiles": [
            { "name": "prefill", "plugins": [{ "pluginRef": "prefill-filter" }, { "pluginRef": "queue-scorer" }] },
            { "name": "decode", "plugins": [{ "pluginRef": "decode-filter" }, { "pluginRef": "queue-scorer" }] },
        ],
    })
}

fn decode_dies(world: &World, entrance: &Reach) -> Result<()> {
    let before = world.pods(DEATHS, DECODE)?;
    let (dying, stream) = stream_of_one(world, DEATHS, entrance)?;
    let load = Load::start(entrance);
    kill_pod(world, DEATHS, &dying)?;
    let n_answers = load.n_answers();
    breaks_off(world, stream)?;
    answers::whole(world, entrance, &golden::case("What is decode?")?)?;
    replaced(world, DEATHS, DECODE, &before, &[dying])?;
    ensure!(load.n_answers() > n_answers + CLIENTS, "nobody is answered while a decode pod is down");
    costs_little("a decode pod died", &load.end()?)
}

/// The streams that are past their prefill go on, and others do without: the decode engine computes the prompt.
fn prefill_dies(world: &World, entrance: &Reach) -> Result<()> {
    let dying = world.pods(DEATHS, PREFILL)?;
    let (_, stream) = stream_of_one(world, DEATHS, entrance)?;
    let load = Load::start(entrance);
    let done = kill(world, DEATHS, PREFILL).and_then(|()| {
        let text = world.block_on(stream.chat_text(Bytes::new()));
        text.context("the stream does not outlive the engine of its prefill")?;
        replaced(world, DEATHS, PREFILL, &dying, &dying)?;
        kv_moves(world, DEATHS)
    });
    let answers = load.finish();
    done?;
    println!("  a prefill pod died: {} answers, no errors", answers?);
    Ok(())
}

/// Waits until a decode engine pulls what a prefill engine has computed; somebody must ask meanwhile.
fn kv_moves(world: &World, namespace: &str) -> Result<()> {
    let moved = world.metric(namespace, DECODE, ENGINE, TRANSFERRED)?;
    world.eventually("KV blocks move again", || {
        Ok((world.metric(namespace, DECODE, ENGINE, TRANSFERRED)? > moved).then_some(()))
    })
}

/// A stream of many seconds that has begun, and the decode pod that it comes from. Nothing else is asked meanwhile.
fn stream_of_one(world: &World, namespace: &str, entrance: &Reach) -> Result<(String, Stream)> {
    let stream = world.block_on(long_stream(entrance))?;
    for pod in world.pods(namespace, DECODE)? {
        if world.metric_of(namespace, &pod, ENGINE, ("vllm:num_requests_running", ""))? > 0.0 {
            return Ok((pod, stream));
        }
    }
    anyhow::bail!("the stream was over before anybody looked for its engine")
}
