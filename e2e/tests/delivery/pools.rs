//! InferencePools behind plain Envoy Gateway: the extension server of the chart, a service whose route leads to its
//! pool, and what clients get when a part of that is away.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use llmd_e2e::client::{Client, Reply};
use llmd_e2e::golden;
use llmd_e2e::helm::helm;
use llmd_e2e::provider::{self, Addition};
use serde_json::json;

use crate::load::Load;
use crate::stack::{self, MODEL, SERVICE};
use crate::world::{Reach, World};
use crate::{answers, gateway, hello};

mod away;
mod picked;
mod router;
mod shares;

const NAMESPACE: &str = "pools";
/// The extension server.
const EXTENSION: &str = "deployment/llmd-envoy-gateway";
/// Nothing here waits for longer; a client would not either.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn story(world: &World) -> Result<()> {
    stack::installed(world)?;
    world.namespace(NAMESPACE)?;
    extended(world, || {
        let front = Front::serve(world, gateway::front(world, NAMESPACE)?)?;
        front.answers()?;
        front.is_picked()?;
        answers::keep_their_way(world, &front.service)?;
        front.takes_large_bodies()?;
        shares::several_backends(&front)?;
        router::alone(&front)?;
        away::extension(&front)?;
        away::picker_and_pods(&front)
    })
}

/// Tells `told` while Envoy Gateway asks the extension server.
fn extended(world: &World, told: impl FnOnce() -> Result<()>) -> Result<()> {
    let chart = format!("{}/llmd", stack::charts());
    let upgrade = ["upgrade", "llmd", &chart, "--namespace", stack::SYSTEM, "--reuse-values"];
    let on = ["--set", "envoyGateway.enabled=true", "--wait", "--timeout=180s"];
    helm(world.kubectl(), &[upgrade.as_slice(), on.as_slice()].concat())?;
    let notes = helm(world.kubectl(), &["get", "notes", "llmd", "--namespace", stack::SYSTEM])?;
    let start = notes.find("config:").context("the chart's notes hold values for Envoy Gateway")?;
    let values = notes[start..].split("\n\n").next().unwrap_or_default();
    let told = configure(world, values).and_then(|()| told());
    told.and(unextended(world))
}

/// Has Envoy Gateway ask no longer: other stories do not have the extension server, and it would wait for it.
pub(crate) fn unextended(world: &World) -> Result<()> {
    configure(world, "config: {envoyGateway: {extensionManager: null}}")
}

/// Gives Envoy Gateway further values.
fn configure(world: &World, values: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("values.yaml");
    std::fs::write(&file, values)?;
    let (file, chart) = (file.display().to_string(), provider::chart(world.provider(), Addition::Gateway)?);
    let upgrade = ["upgrade", "eg", &chart.display().to_string(), "--namespace", gateway::SYSTEM];
    // Others of Helm's ways to keep values keep what is `null` here too.
    let how = ["--reset-then-reuse-values", "--values", &file, "--wait", "--timeout=180s"];
    helm(world.kubectl(), &[upgrade.as_slice(), how.as_slice()].concat())?;
    // By itself it would take them only when its node has brought the new file.
    world.restart(gateway::SYSTEM, "deployment/envoy-gateway")
}

/// A service behind an Envoy.
struct Front<'a> {
    world: &'a World,
    /// Where the Envoy listens.
    base: String,
    /// The service's own path there.
    service: Reach,
}

impl<'a> Front<'a> {
    /// Brings the service up. It is ready only when its pool is said to be accepted.
    fn serve(world: &'a World, envoy: Reach) -> Result<Self> {
        let router = json!({ "router": {
            "scheduler": {}, "route": {}, "gateway": { "refs": [{ "name": "front", "namespace": NAMESPACE }] },
        } });
        hello::apply(world, NAMESPACE, &stack::manifest(world, &router).to_string())?;
        world.wait_for(NAMESPACE, "llmisvc/tiny", "Ready")?;
        let base = envoy.client().base().to_owned();
        let front = Self { world, base, service: envoy.below(&format!("/{NAMESPACE}/{SERVICE}")) };
        world.eventually("the gateway carries the route", || Ok((front.status()? == 200).then_some(())))?;
        Ok(front)
    }

    /// The model's exact answers, whole and streamed.
    fn answers(&self) -> Result<()> {
        answers::exact(self.world, &self.service, 4)
    }

    /// The endpoint picker counts every request.
    fn is_picked(&self) -> Result<()> {
        let n_picked = picked::during(self.world, NAMESPACE, || (0..5).try_for_each(|_| self.answers_one()))?;
        ensure!(n_picked == 5.0, "of 5 requests the endpoint picker has seen {n_picked}");
        Ok(())
    }

    fn answers_one(&self) -> Result<()> {
        answers::whole(self.world, &self.service, &golden::case("What is prefill?")?)
    }

    /// Bodies beyond what Envoy holds of a connection (32 KiB) reach picker and engine whole.
    fn takes_large_bodies(&self) -> Result<()> {
        let case = golden::case("What is prefill?")?;
        let mut body = json!({ "model": MODEL, "messages": case.messages, "temperature": 0 }).to_string();
        body.extend(std::iter::repeat_n(' ', 512 << 10));
        let reply = self.world.block_on(self.service.client().post("/v1/chat/completions", body))?;
        let text = &reply.json()?["choices"][0]["message"]["content"];
        ensure!(*text == case.text.as_str(), "512 KiB are answered {} {}", reply.status, reply.text());
        Ok(())
    }

    /// One question to a path of Envoy, and how long the answer took.
    fn ask(&self, path: &str) -> Result<(Reply, Duration)> {
        let case = golden::case("What is prefill?")?;
        let client = Client::new(&format!("{}{path}", self.base));
        let start = Instant::now();
        let reply = self.world.block_on(client.chat(MODEL, &case.messages))?;
        Ok((reply, start.elapsed()))
    }

    /// The status that the service answers with, at once.
    fn status(&self) -> Result<u16> {
        let (reply, took) = self.ask(&format!("/{NAMESPACE}/{SERVICE}"))?;
        ensure!(took < PATIENCE, "{} comes after {took:?}", reply.status);
        Ok(reply.status.as_u16())
    }

    fn load(&self) -> Load<'_> {
        Load::start(&self.service)
    }
}
