//! One service and what a client gets from it: the exact answers of the model, whatever headers it sends.

use anyhow::Result;
use serde_json::json;

use crate::world::World;
use crate::{answers, stack};

const NAMESPACE: &str = "serving";

pub(crate) fn story(world: &World) -> Result<()> {
    let entrance = stack::serve(world, NAMESPACE, &json!({ "replicas": 2 }))?;
    answers::exact(world, &entrance, 8)?;
    answers::keep_their_way(world, &entrance)
}
