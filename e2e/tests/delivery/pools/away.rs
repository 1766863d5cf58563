//! Parts that are away, one after another: a client gets its answer or 503 at once, and answers when they are back.

use anyhow::{Result, ensure};

use super::{EXTENSION, Front, NAMESPACE};
use crate::hello;
use crate::stack::SYSTEM;

const CONTROLLER: &str = "deployment/llmd-controller";
const PICKER: &str = "deployment/tiny-kserve-router-scheduler";
const ENGINE: &str = "deployment/tiny-kserve";

const LATER: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: later}
spec:
  parentRefs: [{name: front}]
  rules:
    - matches: [{path: {value: /later}}]
      filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]
      backendRefs: [{group: inference.networking.k8s.io, kind: InferencePool, name: tiny-inference-pool}]
";

/// Without the extension server requests go on, and a new route waits for it.
pub(super) fn extension(front: &Front<'_>) -> Result<()> {
    scale(front, SYSTEM, EXTENSION, 0)?;
    let load = front.load();
    let done = hello::apply(front.world, NAMESPACE, LATER).and_then(|()| scale(front, SYSTEM, EXTENSION, 1));
    let done = done.and_then(|()| {
        front.world.eventually("the new route is there", || {
            let (reply, _) = front.ask("/later")?;
            Ok((reply.status == 200).then_some(()))
        })
    });
    let answers = load.finish();
    done?;
    println!("  {} requests while the extension server came back", answers?);
    Ok(())
}

/// The endpoint picker, then every engine of the pool. The controller, which would bring them back, rests meanwhile.
pub(super) fn picker_and_pods(front: &Front<'_>) -> Result<()> {
    scale(front, SYSTEM, CONTROLLER, 0)?;
    let told = [PICKER, ENGINE].into_iter().try_for_each(|it| away(front, it));
    told.and(scale(front, SYSTEM, CONTROLLER, 1))
}

fn away(front: &Front<'_>, workload: &str) -> Result<()> {
    scale(front, NAMESPACE, workload, 0)?;
    front.world.eventually("clients are told so", || Ok((front.status()? == 503).then_some(())))?;
    for _ in 0..3 {
        let status = front.status()?;
        ensure!(status == 503, "without {workload} clients get {status}");
    }
    scale(front, NAMESPACE, workload, 1)?;
    front.world.eventually("clients are answered again", || Ok((front.status()? == 200).then_some(())))?;
    front.answers()
}

/// Scales and waits until the pods are as many.
fn scale(front: &Front<'_>, namespace: &str, workload: &str, replicas: u32) -> Result<()> {
    let replicas = format!("--replicas={replicas}");
    front.world.kubectl().run(&["-n", namespace, "scale", workload, &replicas])?;
    front.world.rolled_out(namespace, workload)
}
