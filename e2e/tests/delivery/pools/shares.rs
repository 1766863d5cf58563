//! Rules with more than a pool among their backends: each gets its share, and what is amiss takes no other's.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use super::{Front, NAMESPACE};
use crate::hello;

/// Questions to each rule; a backend with half of the weight is missed by all of them once in a billion runs.
const N_QUESTIONS: usize = 30;

const ROUTES: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shares}
spec:
  parentRefs: [{name: front}]
  rules:
    - matches: [{path: {value: /beside-a-service}}]
      filters: [&strip {type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]
      backendRefs: [&pool {group: inference.networking.k8s.io, kind: InferencePool, name: tiny-inference-pool}, {name: hello, port: 80}]
    - matches: [{path: {value: /beside-a-pool}}]
      filters: [*strip]
      backendRefs: [*pool, {group: inference.networking.k8s.io, kind: InferencePool, name: mute}]
    - matches: [{path: {value: /beside-nothing}}]
      filters: [*strip]
      backendRefs: [*pool, {name: nowhere, port: 80}]
    - matches: [{path: {value: /mute}}]
      filters: [*strip]
      backendRefs: [{group: inference.networking.k8s.io, kind: InferencePool, name: mute}]
---
apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {name: mute}
spec:
  selector: {matchLabels: {app: nobody}}
  targetPorts: [{number: 8000}]
";

pub(super) fn several_backends(front: &Front<'_>) -> Result<()> {
    hello::serve(front.world, NAMESPACE)?;
    hello::apply(front.world, NAMESPACE, ROUTES)?;
    front.world.eventually("the routes are there", || {
        let (reply, _) = front.ask("/mute")?;
        Ok((reply.status == 503).then_some(()))
    })?;
    seen(front, "/beside-a-service", &["200 chat", "200 hello"])?;
    seen(front, "/beside-a-pool", &["200 chat", "503"])?;
    seen(front, "/beside-nothing", &["200 chat", "500"])
}

/// The kinds of answers to a path are exactly those.
fn seen(front: &Front<'_>, path: &str, expected: &[&str]) -> Result<()> {
    let mut seen = BTreeMap::<String, usize>::new();
    for _ in 0..N_QUESTIONS {
        let (reply, _) = front.ask(path)?;
        let what = match reply.text() {
            text if text.contains("chat.completion") => " chat",
            text if text.contains("hello") => " hello",
            _ => "",
        };
        *seen.entry(format!("{}{what}", reply.status.as_u16())).or_default() += 1;
    }
    let kinds: Vec<&str> = seen.keys().map(String::as_str).collect();
    ensure!(kinds == expected, "{path} is answered {seen:?}, not each of {expected:?}");
    println!("  {path}: {seen:?}");
    Ok(())
}
