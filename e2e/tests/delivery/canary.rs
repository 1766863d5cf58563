//! A new release of a model beside the old one: a routing group shares the requests by weight, the canary takes all of
//! them and gives them back, and no request fails meanwhile.
//!
//! A routing group is a matter of HTTPRoutes, so it takes a gateway. Members have no endpoint picker here: their
//! backends are Services, which every gateway carries.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::load::Load;
use crate::stack::{self, MODEL};
use crate::world::{Reach, World};
use crate::{gateway, hello};

const NAMESPACE: &str = "canary";
const STABLE: &str = "stable";
const CANARY: &str = "next";
/// Port of the engines.
const ENGINE: u16 = 8000;
/// Requests whose shares are looked at.
const SAMPLE: f64 = 200.0;
/// Requests after which a member that got none is taken to have no share: with a share of one in four, that happens
/// by chance once in a million.
const SILENCE: f64 = 50.0;

pub(crate) fn story(world: &World) -> Result<()> {
    stack::installed(world)?;
    stack::restricted(world, NAMESPACE)?;
    let envoy = gateway::front(world, NAMESPACE)?;
    hello::apply(world, NAMESPACE, &member(world, STABLE, 75).to_string())?;
    world.wait_for(NAMESPACE, "llmisvc/stable", "Ready")?;
    let entrance = entrance(world, envoy)?;
    let load = Load::start(&entrance);
    let done = shares_move(world);
    let answers = load.finish();
    done?;
    println!("  {} requests, none failed", answers?);
    Ok(())
}

fn shares_move(world: &World) -> Result<()> {
    hello::apply(world, NAMESPACE, &member(world, CANARY, 25).to_string())?;
    world.wait_for(NAMESPACE, "llmisvc/next", "Ready")?;
    world.eventually("the canary gets requests", || Ok((answered(world, CANARY)? > 0.0).then_some(())))?;
    let share = share_of_canary(world)?;
    // Six standard deviations of a share of a quarter among as many requests.
    ensure!((share - 0.25).abs() < 0.19, "the canary's share is {share:.2}, not about 0.25");
    println!("  the canary's share is {share:.2}");
    weigh(world, CANARY, 100)?;
    weigh(world, STABLE, 0)?;
    silent(world, STABLE, CANARY)?;
    println!("  the canary has all requests");
    weigh(world, STABLE, 100)?;
    weigh(world, CANARY, 0)?;
    silent(world, CANARY, STABLE)?;
    println!("  the canary has none");
    Ok(())
}

fn member(world: &World, name: &str, weight: u32) -> Value {
    let router = json!({
        "gateway": { "refs": [{ "name": "front", "namespace": NAMESPACE }] },
        "route": { "group": "chat", "weight": weight },
    });
    let mut object = stack::manifest(world, &json!({ "router": router }));
    object["metadata"]["name"] = json!(name);
    object
}

fn weigh(world: &World, service: &str, weight: u32) -> Result<()> {
    let patch = json!({ "spec": { "router": { "route": { "weight": weight } } } }).to_string();
    let object = format!("llmisvc/{service}");
    world.kubectl().run(&["-n", NAMESPACE, "patch", &object, "--type=merge", "-p", &patch]).map(drop)
}

/// The path that the members have in common, at the gateway's Envoy.
fn entrance(world: &World, envoy: Reach) -> Result<Reach> {
    let entrance = envoy.below(&format!("/publishers/{NAMESPACE}/models/{MODEL}"));
    world.eventually("the gateway carries the route", || {
        Ok((world.get(&entrance, "/v1/models")?.status == 200).then_some(()))
    })?;
    Ok(entrance)
}

/// Requests that the engines of a member have answered.
fn answered(world: &World, service: &str) -> Result<f64> {
    let pods = format!("app.kubernetes.io/name={service}");
    world.metric(NAMESPACE, &pods, ENGINE, ("vllm:request_success_total", ""))
}

/// The canary's part of the next requests.
fn share_of_canary(world: &World) -> Result<f64> {
    let before = (answered(world, STABLE)?, answered(world, CANARY)?);
    world.eventually("the sample is taken", || {
        let (stable, canary) = (answered(world, STABLE)? - before.0, answered(world, CANARY)? - before.1);
        Ok((stable + canary >= SAMPLE).then_some(canary / (stable + canary)))
    })
}

/// Waits until `idle` gets nothing while `busy` gets many requests.
fn silent(world: &World, idle: &str, busy: &str) -> Result<()> {
    world.eventually(&format!("{idle} gets no requests and {busy} does"), || {
        let before = (answered(world, idle)?, answered(world, busy)?);
        world.eventually(&format!("{busy} answers"), || {
            Ok((answered(world, busy)? - before.1 >= SILENCE).then_some(()))
        })?;
        Ok((answered(world, idle)? <= before.0).then_some(()))
    })
}
