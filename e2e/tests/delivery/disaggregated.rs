//! Prefill and decode apart, under load: a decode pod that dies ends its streams in an error at once, a prefill pod
//! that dies ends none, and KV blocks move again as soon as another has taken its place.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use llmd_e2e::client::Stream;
use llmd_e2e::golden;
use serde_json::{Value, json};

use crate::load::{Load, Tally};
use crate::stack::{self, MODEL};
use crate::victims::{answers_again, kill, kill_pod, long_stream, pods, replaced};
use crate::world::{Reach, World};

const NAMESPACE: &str = "disaggregated";
const DECODE: &str = "llm-d.ai/role=decode";
const PREFILL: &str = "llm-d.ai/role=prefill";
/// Port of decode engines; the sidecar before them has 8000.
const ENGINE: u16 = 8001;
const TRANSFERRED: (&str, &str) = ("llmd:kv_transfer_bytes_total", "");
/// A request that takes longer to fail has hung: nothing on its way waits that long.
const AT_ONCE: Duration = Duration::from_secs(15);

pub(crate) fn story(world: &World) -> Result<()> {
    let spec = json!({
        "replicas": 2,
        "prefill": { "replicas": 1 },
        "router": { "scheduler": { "config": { "inline": picker() } } },
    });
    let entrance = stack::serve(world, NAMESPACE, &spec)?;
    answers_again(world, &entrance)?;
    let moved = world.metric(NAMESPACE, DECODE, ENGINE, TRANSFERRED)?;
    ensure!(moved > 0.0, "no KV block has moved");
    decode_dies(world, &entrance)?;
    prefill_dies(world, &entrance)
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
    let before = pods(world, NAMESPACE, DECODE)?;
    let (dying, stream) = stream_of_one(world, entrance)?;
    let load = Load::start(entrance);
    kill_pod(world, NAMESPACE, &dying)?;
    let killed = Instant::now();
    let text = world.block_on(async { Ok(stream.chat_text(Bytes::new()).await) })?;
    ensure!(text.is_err(), "the stream was over before its engine died");
    ensure!(killed.elapsed() < AT_ONCE, "the client waited {:?} for its error", killed.elapsed());
    println!(
        "  the stream ends in an error {:.1} s after its pod is told to die",
        killed.elapsed().as_secs_f64()
    );
    let case = golden::case("What is decode?")?;
    let text = world.block_on(entrance.client().chat_text(MODEL, &case.messages))?;
    ensure!(text == case.text, "the next answer is {text:?}, not {:?}", case.text);
    replaced(world, NAMESPACE, DECODE, &before, &[dying])?;
    let Tally { n_answers, failures } = load.end()?;
    let slowest = failures.iter().max_by_key(|it| it.took);
    println!("  a decode pod died: {n_answers} answers, {} errors", failures.len());
    if let Some(slowest) = slowest {
        ensure!(slowest.took < AT_ONCE, "a request took {:?} to fail: {}", slowest.took, slowest.why);
    }
    Ok(())
}

/// The streams that are past their prefill go on, and others do without: the decode engine computes the prompt.
fn prefill_dies(world: &World, entrance: &Reach) -> Result<()> {
    let dying = pods(world, NAMESPACE, PREFILL)?;
    let (_, stream) = stream_of_one(world, entrance)?;
    let load = Load::start(entrance);
    let done = kill(world, NAMESPACE, PREFILL).and_then(|()| {
        let text = world.block_on(stream.chat_text(Bytes::new()));
        text.context("the stream does not outlive the engine of its prefill")?;
        replaced(world, NAMESPACE, PREFILL, &dying, &dying)?;
        let moved = world.metric(NAMESPACE, DECODE, ENGINE, TRANSFERRED)?;
        world.eventually("KV blocks move again", || {
            Ok((world.metric(NAMESPACE, DECODE, ENGINE, TRANSFERRED)? > moved).then_some(()))
        })
    });
    let answers = load.finish();
    done?;
    println!("  a prefill pod died: {} answers, no errors", answers?);
    Ok(())
}

/// A stream of many seconds that has begun, and the decode pod that it comes from. Nothing else is asked meanwhile.
fn stream_of_one(world: &World, entrance: &Reach) -> Result<(String, Stream)> {
    let stream = world.block_on(long_stream(entrance))?;
    for pod in pods(world, NAMESPACE, DECODE)? {
        if world.metric_of(NAMESPACE, &pod, ENGINE, ("vllm:num_requests_running", ""))? > 0.0 {
            return Ok((pod, stream));
        }
    }
    anyhow::bail!("the stream was over before anybody looked for its engine")
}
