//! Pods that die without a word: what was in them ends in an error, everything else goes on.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;

use crate::load::Load;
use crate::scale::scale;
use crate::stack::{self, CONTROLLER, PICKER, SYSTEM, WORKLOAD};
use crate::victims::{answers_again, breaks_off, kill, long_stream, replaced};
use crate::world::World;

const ENGINE: &str = "engine-dies";
const ROUTER: &str = "router-dies";
const CONTROL_PLANE: &str = "control-plane-dies";
/// Twice as long as leases last.
const OUTAGE: Duration = Duration::from_secs(30);

/// The engine in the middle of a stream.
pub(crate) fn engine(world: &World) -> Result<()> {
    let entrance = stack::serve(world, ENGINE, &json!({ "replicas": 1 }))?;
    let dying = world.pods(ENGINE, WORKLOAD)?;
    let stream = world.block_on(long_stream(&entrance))?;
    kill(world, ENGINE, WORKLOAD)?;
    breaks_off(world, stream)?;
    replaced(world, ENGINE, WORKLOAD, &dying, &dying)?;
    answers_again(world, &entrance)
}

/// The endpoint picker, then the controller: a service needs the controller to change, not to answer.
pub(crate) fn router(world: &World) -> Result<()> {
    stack::serve(world, ROUTER, &json!({ "replicas": 1 }))?;
    let dying = world.pods(ROUTER, PICKER)?;
    kill(world, ROUTER, PICKER)?;
    replaced(world, ROUTER, PICKER, &dying, &dying)?;
    let entrance = stack::entrance(world, ROUTER)?;
    answers_again(world, &entrance)?;
    let controller = world.pods(SYSTEM, CONTROLLER)?;
    let load = Load::start(&entrance);
    let done = kill(world, SYSTEM, CONTROLLER).and_then(|()| {
        replaced(world, SYSTEM, CONTROLLER, &controller, &controller)?;
        scale(world, ROUTER, 2)
    });
    let answers = load.finish();
    done?;
    println!("  {} requests while the controller came back", answers?);
    Ok(())
}

/// The control plane: what serves goes on with what it knows, and learns what is new afterwards.
pub(crate) fn control_plane(world: &World) -> Result<()> {
    let entrance = stack::serve(world, CONTROL_PLANE, &json!({ "replicas": 2 }))?;
    let load = Load::start(&entrance);
    let done = world.provider().without_api_server(&mut || outlasts(world, &load));
    let done = done.and_then(|()| scale(world, CONTROL_PLANE, 3));
    let answers = load.finish();
    done?;
    println!("  {} requests, none failed", answers?);
    Ok(())
}

/// Waits for so many answers that every lease has run out and every watch has been tried again.
fn outlasts(world: &World, load: &Load<'_>) -> Result<()> {
    let (begun, before) = (Instant::now(), load.n_answers());
    world.eventually("the service answers while the API server is away", || {
        let is_long = begun.elapsed() > OUTAGE && load.n_answers() > before + 100;
        Ok(is_long.then_some(()))
    })?;
    let n_answers = load.n_answers() - before;
    println!("  {n_answers} answers in {:.0} s without an API server", begun.elapsed().as_secs_f64());
    Ok(())
}
