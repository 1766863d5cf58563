//! What an operator does first: two charts into a bare cluster, with `helm --wait`.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::stack::{self, SYSTEM};
use crate::world::World;

pub(crate) fn story(world: &World) -> Result<()> {
    stack::provide(world)?;
    let namespace =
        format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {SYSTEM}, labels: {STRICT}}}");
    world.kubectl().apply(&namespace)?;
    stack::install(world)?;
    world.rolled_out(SYSTEM, "deployment/llmd-controller")?;
    webhooks_answer(world)
}

/// The installation itself follows the strictest rules for pods.
const STRICT: &str = "{pod-security.kubernetes.io/enforce: restricted}";

/// Helm has waited, so nobody else has to: a manifest is defaulted and refused at once.
fn webhooks_answer(world: &World) -> Result<()> {
    let kubectl = world.kubectl();
    let tried = ["-n", SYSTEM, "apply", "--dry-run=server", "-f", "-"];
    kubectl.run_with_input(&tried, &stack::manifest(world, &json!({})).to_string())?;
    let wrong = stack::manifest(world, &json!({ "worker": { "containers": [] } }));
    let refused = kubectl.run_with_input(&tried, &wrong.to_string());
    let message = refused.err().map(|it| format!("{it:#}")).unwrap_or_default();
    ensure!(
        message.contains("spec.parallelism"),
        "workers without parallelism are refused by its field, not {message:?}"
    );
    Ok(())
}
