//! The model's exact answers, as clients at an entrance get them.

use anyhow::{Result, ensure};
use http::Method;
use llmd_e2e::golden::{self, Case};
use serde_json::{Value, json};

use crate::stack::MODEL;
use crate::world::{Reach, World};

/// Headers by which the endpoint picker steers what is behind it. A client that sends them gets nowhere.
const SPOOFED: [(&str, &str); 3] = [
    ("content-type", "application/json"),
    ("x-gateway-destination-endpoint", "192.0.2.1:1"),
    ("x-prefiller-host-port", "192.0.2.1:1"),
];

/// So many prompts are answered word by word, whole and streamed.
pub(crate) fn exact(world: &World, at: &Reach, n_prompts: usize) -> Result<()> {
    for case in golden::cases()?.iter().take(n_prompts) {
        whole(world, at, case)?;
        let text = world.block_on(at.client().chat_stream_text(MODEL, &case.messages))?;
        ensure!(text == case.text, "{} is streamed as {text:?}, not {:?}", case.messages, case.text);
    }
    Ok(())
}

/// A prompt is answered word by word.
pub(crate) fn whole(world: &World, at: &Reach, case: &Case) -> Result<()> {
    let text = world.block_on(at.client().chat_text(MODEL, &case.messages))?;
    ensure!(text == case.text, "{} is answered {text:?}, not {:?}", case.messages, case.text);
    Ok(())
}

/// A client does not say where its request goes: not to another engine, and not past the endpoint picker.
pub(crate) fn keep_their_way(world: &World, at: &Reach) -> Result<()> {
    let case = golden::case("What is prefill?")?;
    let body = json!({ "model": MODEL, "messages": case.messages, "temperature": 0 }).to_string();
    let reply = at.client().send(Method::POST, "/v1/chat/completions", &SPOOFED, body.into());
    let reply = world.block_on(reply)?;
    let text = reply.text();
    let content = reply.json().ok().map(|it| it["choices"][0]["message"]["content"].clone());
    ensure!(
        content.as_ref().and_then(Value::as_str) == Some(&case.text),
        "spoofed headers change the answer: {} {text}",
        reply.status
    );
    Ok(())
}
