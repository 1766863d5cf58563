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
    let before = pods(world)?;
    let load = Load::start(&entrance);
    let done = without_controller(world).and_then(|()| {
        stack::install(world)?;
        world.wait_for(NAMESPACE, "llmisvc/tiny", "Ready")
    });
    let answers = load.finish();
    done?;
    ensure!(pods(world)? == before, "the pods are the same ones as before");
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

/// Names of the service's pods.
fn pods(world: &World) -> Result<String> {
    world.field(NAMESPACE, &["pods"], "{.items[*].metadata.name}")
}
