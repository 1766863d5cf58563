//! A new version of a service's engines, then of its endpoint picker, under load: no request fails.

use anyhow::Result;
use serde_json::json;

use crate::load::Load;
use crate::stack::{self, PICKER, WORKLOAD};
use crate::world::World;

const NAMESPACE: &str = "upgrade";

pub(crate) fn story(world: &World) -> Result<()> {
    world.require_routes()?;
    let entrance = stack::serve(world, NAMESPACE, &json!({ "replicas": 2 }))?;
    let load = Load::start(&entrance);
    let done = engines(world).and_then(|()| endpoint_picker(world));
    let answers = load.finish();
    done?;
    println!("  {} requests, none failed", answers?);
    Ok(())
}

/// As a user does it: the manifest says something new.
fn engines(world: &World) -> Result<()> {
    let env = json!([{ "name": "main", "env": [{ "name": "RELEASE", "value": "2" }] }]);
    let patch = json!({ "spec": { "template": { "containers": env } } }).to_string();
    world.kubectl().run(&["-n", NAMESPACE, "patch", "llmisvc", "tiny", "--type=merge", "-p", &patch])?;
    let path = "{.spec.template.spec.containers[0].env[?(@.name==\"RELEASE\")].value}";
    world.eventually("the engines' Deployment has the new version", || {
        let value = world.field(NAMESPACE, &["deployment", "tiny-kserve"], path)?;
        Ok((value == "2").then_some(()))
    })?;
    world.rolled_out(NAMESPACE, "deployment/tiny-kserve")?;
    gone(world, WORKLOAD, 2)
}

fn endpoint_picker(world: &World) -> Result<()> {
    world.restart(NAMESPACE, "deployment/tiny-kserve-router-scheduler")?;
    gone(world, PICKER, 1)
}

/// Waits until the pods of the old version have ended, and `n_pods` are left.
fn gone(world: &World, label: &str, n_pods: usize) -> Result<()> {
    world.eventually("the pods of the old version have ended", || {
        Ok((world.pods(NAMESPACE, label)?.len() == n_pods).then_some(()))
    })
}
