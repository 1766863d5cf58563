//! Pods that die without a word, and what takes their place.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use llmd_e2e::client::Stream;
use llmd_e2e::golden;
use serde_json::json;

use crate::stack::MODEL;
use crate::world::{Reach, World};

/// A request that takes longer to fail has hung: nothing on its way waits that long.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(15);

/// Ends the pods with a label at once, without their knowing.
pub(crate) fn kill(world: &World, namespace: &str, label: &str) -> Result<()> {
    let deleted = delete(world, namespace, &["pods", "-l", label])?;
    ensure!(deleted.contains("deleted"), "there is no pod {label}");
    Ok(())
}

/// As [`kill`], one pod by its name.
pub(crate) fn kill_pod(world: &World, namespace: &str, pod: &str) -> Result<()> {
    delete(world, namespace, &["pod", pod]).map(drop)
}

fn delete(world: &World, namespace: &str, pods: &[&str]) -> Result<String> {
    let how = ["--force", "--grace-period=0", "--wait=false"];
    world.kubectl().run(&[["-n", namespace, "delete"].as_slice(), pods, how.as_slice()].concat())
}

/// Ends the process of the engine in a pod, as a crash would. The pod stays.
pub(crate) fn crash(world: &World, namespace: &str, pod: &str) -> Result<()> {
    world.provider().crash(&engine(world, namespace, pod, "containerID")?)
}

/// Waits until the engine of a pod was started again after its first crash, and is ready.
pub(crate) fn restarted(world: &World, namespace: &str, pod: &str) -> Result<()> {
    world.eventually("the engine is started again", || {
        let is_again = engine(world, namespace, pod, "restartCount")? == "1";
        Ok((is_again && engine(world, namespace, pod, "ready")? == "true").then_some(()))
    })
}

/// What the status of a pod tells of its engine.
fn engine(world: &World, namespace: &str, pod: &str, field: &str) -> Result<String> {
    let path = format!("{{.status.containerStatuses[?(@.name==\"main\")].{field}}}");
    world.field(namespace, &["pod", pod], &path)
}

/// Waits until there are as many pods as `before`, all of them ready, and none that has died.
pub(crate) fn replaced(
    world: &World,
    namespace: &str,
    label: &str,
    before: &[String],
    dead: &[String],
) -> Result<()> {
    let path = "{.items[*].status.conditions[?(@.type==\"Ready\")].status}";
    world.eventually("other pods take the dead ones' place", || {
        let pods = world.pods(namespace, label)?;
        let is_whole = pods.len() == before.len() && !pods.iter().any(|it| dead.contains(it));
        let ready = world.field(namespace, &["pods", "-l", label], path)?;
        let are_ready = ready.split_whitespace().filter(|it| *it == "True").count() == before.len();
        Ok((is_whole && are_ready).then_some(()))
    })
}

/// The exact answer, as soon as another pod has taken the dead one's place.
pub(crate) fn answers_again(world: &World, entrance: &Reach) -> Result<()> {
    let case = golden::case("What is prefill?")?;
    let text = world.eventually("the service answers again", || {
        world.block_on(entrance.client().chat_text(MODEL, &case.messages)).map(Some)
    })?;
    ensure!(text == case.text, "the answer is {text:?}, not {:?}", case.text);
    Ok(())
}

/// A stream of many seconds that has begun: there is time to let something die.
pub(crate) async fn long_stream(entrance: &Reach) -> Result<Stream> {
    let long = json!({
        "model": MODEL,
        "messages": [{ "role": "user", "content": "What is prefill?" }],
        "temperature": 1, "seed": 1, "max_tokens": 1900, "ignore_eos": true, "n": 16, "stream": true,
    });
    let mut stream = entrance.client().stream("/v1/chat/completions", &long).await?;
    let first = stream.next().await?.context("a stream has a first piece")?;
    ensure!(stream.status == 200, "{}: {}", stream.status, String::from_utf8_lossy(&first));
    Ok(stream)
}

/// Reads a stream whose engine was just told to die: it ends in an error, does not hang, does not pretend to be whole.
pub(crate) fn breaks_off(world: &World, stream: Stream) -> Result<()> {
    let start = Instant::now();
    let text = world.block_on(async { Ok(stream.chat_text(Bytes::new()).await) })?;
    let took = start.elapsed();
    ensure!(text.is_err(), "the stream was over before its engine died");
    ensure!(took < AT_ONCE, "the client waited {took:?} for its error");
    println!("  the stream ends in an error {:.1} s after its engine is told to die", took.as_secs_f64());
    Ok(())
}
