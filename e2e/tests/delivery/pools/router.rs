//! The chart of a router alone, in gateway mode: its route leads to its own pool, and its picker speaks TLS.

use anyhow::{Result, ensure};
use llmd_e2e::golden;
use llmd_e2e::helm::helm;

use super::{Front, NAMESPACE};
use crate::stack;

const RELEASE: &str = "routed";

pub(super) fn alone(front: &Front<'_>) -> Result<()> {
    let routed = install(front).and_then(|()| answers(front));
    let removed = helm(front.world.kubectl(), &["uninstall", RELEASE, "--namespace", NAMESPACE, "--wait"]);
    routed.and(removed.map(drop))
}

/// A second picker for the engines that are there.
fn install(front: &Front<'_>) -> Result<()> {
    let chart = format!("{}/llmd-router", stack::charts());
    let values = format!(
        "mode=gateway,httpRoute.create=true,httpRoute.inferenceGatewayName=front,\
         router.modelServers.matchLabels.kserve\\.io/component=workload,\
         {}",
        stack::images(front.world)
    );
    let install = ["install", RELEASE, &chart, "--namespace", NAMESPACE, "--set", &values];
    helm(front.world.kubectl(), &[install.as_slice(), &["--wait", "--timeout=120s"]].concat()).map(drop)
}

fn answers(front: &Front<'_>) -> Result<()> {
    let (reply, _) = front.world.eventually("the router's route answers", || {
        let answer = front.ask("")?;
        Ok((answer.0.status == 200).then_some(answer))
    })?;
    let text = &reply.json()?["choices"][0]["message"]["content"];
    let case = golden::case("What is prefill?")?;
    ensure!(*text == case.text.as_str(), "the answer is {text}, not {:?}", case.text);
    Ok(())
}
