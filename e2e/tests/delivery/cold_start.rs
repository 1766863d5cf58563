//! How soon each kind of pod is ready whose images are on the node: from the death of one to the readiness of its
//! replacement, told as a table. Whoever waits polls ten times a second by a process of its own, so a tenth of a
//! second is all that the figures tell apart.

use std::time::Instant;

use anyhow::Result;
use serde_json::json;

use crate::stack::{self, CONTROLLER, DECODE, PICKER, PREFILL, SYSTEM};
use crate::victims::{answers_again, kill, replaced};
use crate::world::World;

const NAMESPACE: &str = "cold-start";
const PODS: [(&str, &str, &str); 4] = [
    ("controller", SYSTEM, CONTROLLER),
    ("endpoint picker", NAMESPACE, PICKER),
    ("prefill engine", NAMESPACE, PREFILL),
    ("decode engine and sidecar", NAMESPACE, DECODE),
];

pub(crate) fn story(world: &World) -> Result<()> {
    stack::serve(world, NAMESPACE, &json!({ "replicas": 1, "prefill": { "replicas": 1 } }))?;
    println!("  | Pod | Created to ready |\n  |---|---|");
    for (name, namespace, label) in PODS {
        let dying = world.pods(namespace, label)?;
        let start = Instant::now();
        kill(world, namespace, label)?;
        replaced(world, namespace, label, &dying, &dying)?;
        println!("  | {name} | {:.1} s |", start.elapsed().as_secs_f64());
    }
    answers_again(world, &stack::entrance(world, NAMESPACE)?)
}
