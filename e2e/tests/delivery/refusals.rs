//! Wrong manifests, as people write them: the message names the field.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::stack;
use crate::world::World;

const NAMESPACE: &str = "refusals";

/// A spec and what its refusal says: types and bounds are the definition's, the rest the webhooks'.
fn wrong() -> [(Value, &'static str); 5] {
    [
        (json!({ "replicas": -1 }), "spec.replicas"),
        (json!({ "template": { "containers": "main" } }), "spec.template.containers"),
        (json!({ "worker": { "containers": [] } }), "spec.parallelism: Required value"),
        (json!({ "parallelism": { "data": 2 } }), "spec.parallelism.dataLocal: Required value"),
        (json!({ "parallelism": { "data": 2, "dataLocal": 1, "pipeline": 2 } }), "spec.parallelism.pipeline"),
    ]
}

pub(crate) fn story(world: &World) -> Result<()> {
    stack::installed(world)?;
    world.namespace(NAMESPACE)?;
    let create = ["-n", NAMESPACE, "create", "-f", "-"];
    for (spec, field) in wrong() {
        let manifest = stack::manifest(world, &spec).to_string();
        let refused = world.kubectl().run_with_input(&create, &manifest);
        let message = refused.err().map(|it| format!("{it:#}"));
        let Some(message) = message else { anyhow::bail!("{spec} is accepted") };
        ensure!(message.contains(field), "{spec} is refused by {field}, not {message:?}");
    }
    Ok(())
}
