//! One service and what a client gets from it: the exact answers of the model, whatever headers it sends.

use anyhow::{Result, ensure};
use http::Method;
use llmd_e2e::golden;
use serde_json::json;

use crate::stack::{self, MODEL};
use crate::world::{Reach, World};

const NAMESPACE: &str = "serving";
/// Headers by which the endpoint picker steers what is behind it. A client that sends them gets nowhere.
const SPOOFED: [(&str, &str); 3] = [
    ("content-type", "application/json"),
    ("x-gateway-destination-endpoint", "192.0.2.1:1"),
    ("x-prefiller-host-port", "192.0.2.1:1"),
];

pub(crate) fn story(world: &World) -> Result<()> {
    let entrance = stack::serve(world, NAMESPACE, &json!({ "replicas": 2 }))?;
    for case in golden::cases()?.iter().take(8) {
        let text = world.block_on(entrance.client().chat_text(MODEL, &case.messages))?;
        ensure!(text == case.text, "{} is answered {text:?}, not {:?}", case.messages, case.text);
        let text = world.block_on(entrance.client().chat_stream_text(MODEL, &case.messages))?;
        ensure!(text == case.text, "{} is streamed as {text:?}, not {:?}", case.messages, case.text);
    }
    routing_headers_are_dropped(world, &entrance)
}

fn routing_headers_are_dropped(world: &World, entrance: &Reach) -> Result<()> {
    let case = golden::case("What is prefill?")?;
    let body = json!({ "model": MODEL, "messages": case.messages, "temperature": 0 }).to_string();
    let reply = entrance.client().send(Method::POST, "/v1/chat/completions", &SPOOFED, body.into());
    let reply = world.block_on(reply)?;
    let text = &reply.json()?["choices"][0]["message"]["content"];
    ensure!(
        *text == case.text.as_str(),
        "spoofed headers change the answer: {} {}",
        reply.status,
        reply.text()
    );
    Ok(())
}
