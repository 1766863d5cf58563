//! The installation goes and comes back; services stay, answer meanwhile, and are taken over as they are.

use anyhow::{Result, ensure};
use llmd_e2e::helm::helm;
use serde_json::json;

use crate::guides;
use crate::load::Load;
use crate::stack::{self, SYSTEM};
use crate::world::World;

const NAMESPACE: &str = "uninstall";

pub(crate) fn story(world: &World) -> Result<()> {
    let entrance = stack::serve(world, NAMESPACE, &json!({}))?;
    guides::are_cleaned_up(world)?;
    let before = made(world)?;
    let load = Load::start(&entrance);
    let done = without_controller(world).and_then(|()| {
        stack::install(world)?;
        taken_over(world)
    });
    let answers = load.finish();
    done?;
    let after = made(world)?;
    ensure!(after == before, "pods and Deployments were {before:?} and are {after:?}");
    println!("  {} requests meanwhile, none failed", answers?);
    Ok(())
}

fn without_controller(world: &World) -> Result<()> {
    helm(world.kubectl(), &["uninstall", "llmd", "--namespace", SYSTEM, "--wait", "--timeout=120s"])?;
    helm(world.kubectl(), &["uninstall", "llmd-crds", "--wait", "--timeout=60s"])?;
    world.eventually("no pod of the installation is left", || {
        let left = world.kubectl().run(&["-n", SYSTEM, "get", "deployments,pods", "-o", "name"])?;
        Ok(left.is_empty().then_some(()))
    })?;
    let kept = world.kubectl().run(&["-n", NAMESPACE, "get", "llmisvc,deployments", "-o", "name"])?;
    ensure!(kept.lines().count() == 3, "the service and its two Deployments stay, not {kept:?}");
    Ok(())
}

/// Waits until the new controller has looked at the service. The status is still what the old one wrote, so only a
/// change tells: here one of no consequence.
fn taken_over(world: &World) -> Result<()> {
    let change = json!({ "spec": { "storageInitializer": { "enabled": true } } }).to_string();
    let patch = ["-n", NAMESPACE, "patch", "llmisvc", "tiny", "--type=merge", "-p", &change];
    world.eventually("the webhooks let the service be changed", || world.kubectl().run(&patch).map(Some))?;
    world.eventually("the new controller has seen the change", || {
        let path = "{.metadata.generation} {.status.observedGeneration}";
        let generations = world.field(NAMESPACE, &["llmisvc", "tiny"], path)?;
        Ok(generations.split_once(' ').is_some_and(|(now, seen)| now == seen).then_some(()))
    })?;
    world.wait_for(NAMESPACE, "llmisvc/tiny", "Ready")
}

/// Names of the service's pods, and its Deployments with the number of their changes.
fn made(world: &World) -> Result<[String; 2]> {
    let pods = world.field(NAMESPACE, &["pods"], "{.items[*].metadata.name}")?;
    let path = "{range .items[*]}{.metadata.name}={.metadata.generation} {end}";
    Ok([pods, world.field(NAMESPACE, &["deployments"], path)?])
}
