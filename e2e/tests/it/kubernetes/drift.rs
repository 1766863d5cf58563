//! Objects of a service that somebody else deletes or edits come back as they were, and nothing is written where
//! nothing changed.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::objects::{PREFILL, ROUTE, SCHEDULER, SIDECAR, SINGLE_NODE};
use super::story::Story;

const SERVICE: &str = "
apiVersion: serving.kserve.io/v1alpha2
kind: LLMInferenceService
metadata: {name: steady}
spec:
  model: {uri: 'hf://org/tiny', name: tiny}
  router: {route: {}, scheduler: {}}
  prefill: {}
";
const PARTS: [&[&str]; 5] = [SINGLE_NODE, PREFILL, SIDECAR, SCHEDULER, ROUTE];

/// A story with the service `steady`, which is ready.
fn begin(namespace: &str) -> Result<Option<Story>> {
    let Some(story) = Story::begin(namespace)? else { return Ok(None) };
    story.apply(SERVICE)?;
    story.has_exactly("steady", &PARTS)?;
    story.accept_route("steady")?;
    story.condition("steady", "Ready", "True")?;
    Ok(Some(story))
}

/// The part of an object that people write.
fn written(object: &Value) -> (Value, Value) {
    let mut spec = object["spec"].clone();
    if let Some(it) = spec.as_object_mut() {
        // Other controllers' own fields.
        it.retain(|key, _| !matches!(key.as_str(), "clusterIP" | "clusterIPs" | "replicas"));
    }
    (object["metadata"]["labels"].clone(), spec)
}

#[test]
fn every_deleted_object_comes_back() -> Result<()> {
    let Some(story) = begin("drift-deleted")? else { return Ok(()) };
    let namespaced = PARTS.concat().into_iter().filter(|it| *it != "ClusterRoleBinding/");
    for (kind, suffix) in namespaced.filter_map(|it| it.split_once('/')) {
        let name = format!("steady{suffix}");
        let before = story.object(kind, &name)?;
        story.kubectl(&["delete", kind, &name, "--wait=false"])?;
        story.eventually(&format!("{kind} {name} is back"), || {
            let Some(after) = story.find(kind, &name)? else { return Ok(None) };
            Ok((after["metadata"]["uid"] != before["metadata"]["uid"]).then_some(()))
        })?;
        assert_eq!(written(&story.object(kind, &name)?), written(&before), "{kind} {name}");
    }
    let all =
        story.kubectl(&["get", "clusterrolebinding", "-l", "app.kubernetes.io/name=steady", "-o", "name"])?;
    let own = all.lines().find(|it| it.contains("/drift-deleted-steady-")).unwrap_or_default();
    story.kubectl(&["delete", own])?;
    story.has_exactly("steady", &PARTS)
}

#[test]
fn every_edit_of_an_object_is_undone() -> Result<()> {
    let Some(story) = begin("drift-edited")? else { return Ok(()) };
    let edits: &[(&str, &str, Value)] = &[
        (
            "deployment/steady-kserve",
            "a label of the watch's filter",
            json!([{ "op": "remove", "path": "/metadata/labels/app.kubernetes.io~1part-of" }]),
        ),
        (
            "deployment/steady-kserve",
            "a label",
            json!([{ "op": "remove", "path": "/metadata/labels/llm-d.ai~1role" }]),
        ),
        (
            "deployment/steady-kserve",
            "an environment variable",
            json!([{ "op": "replace", "path": "/spec/template/spec/containers/0/env/0/value", "value": "/other" }]),
        ),
        (
            "service/steady-kserve-workload-svc",
            "a port",
            json!([{ "op": "replace", "path": "/spec/ports/0/port", "value": 9000 }]),
        ),
        (
            "service/steady-kserve-workload-svc",
            "the selector",
            json!([{ "op": "replace", "path": "/spec/selector/app.kubernetes.io~1name", "value": "other" }]),
        ),
        (
            "httproute/steady-kserve-route",
            "the rules",
            json!([{ "op": "replace", "path": "/spec/rules", "value": [{ "name": "other" }] }]),
        ),
        (
            "inferencepool/steady-inference-pool",
            "the failure mode",
            json!([{ "op": "replace", "path": "/spec/endpointPickerRef/failureMode", "value": "FailClose" }]),
        ),
        ("role/steady-kserve-role", "the rules", json!([{ "op": "replace", "path": "/rules", "value": [] }])),
    ];
    for (object, what, patch) in edits {
        let (kind, name) = object.split_once('/').expect("kind/name");
        let look = || -> Result<(Value, Value)> {
            let it = story.object(kind, name)?;
            let (labels, spec) = written(&it);
            Ok((labels, json!([spec, it["rules"]])))
        };
        let before = look()?;
        story.kubectl(&["patch", object, "--type=json", "-p", &patch.to_string()])?;
        let mut after = before.clone();
        let undone = story.eventually(&format!("{what} of {object} is as before"), || {
            after = look()?;
            Ok((after == before).then_some(()))
        });
        undone.map_err(|it| it.context(format!("before: {before:?}\nafter: {after:?}")))?;
    }
    Ok(())
}

#[test]
fn replicas_that_somebody_else_sets_survive_a_repair() -> Result<()> {
    let Some(story) = begin("drift-replicas")? else { return Ok(()) };
    story.kubectl(&["scale", "deployment/steady-kserve", "--replicas=4"])?;
    story.kubectl(&["set", "env", "deployment/steady-kserve", "HOME=/other"])?;
    story.eventually("the environment is repaired", || {
        let spec = story.object("deployment", "steady-kserve")?["spec"].clone();
        assert_eq!(spec["replicas"], 4);
        let env = spec["template"]["spec"]["containers"][0]["env"].as_array().cloned().unwrap_or_default();
        Ok(env.contains(&json!({ "name": "HOME", "value": "/tmp" })).then_some(()))
    })
}

#[test]
fn a_turn_that_finds_everything_in_place_writes_nothing() -> Result<()> {
    let Some(story) = begin("drift-none")? else { return Ok(()) };
    let cluster = &story.installation.cluster;
    let writes = |since: u64| -> Result<Vec<_>> {
        let all = cluster.writes_since(since)?;
        Ok(all.into_iter().filter(|it| it.namespace == story.namespace).collect())
    };
    // The pods of other people's controllers settle.
    story.eventually("the service is at rest", || {
        let since = cluster.audit_position();
        std::thread::sleep(Duration::from_secs(2));
        Ok(writes(since)?.is_empty().then_some(()))
    })?;

    // A change of no consequence: the status tells that it was seen, and that is all.
    let since = cluster.audit_position();
    story.patch("llmisvc/steady", &json!({ "spec": { "storageInitializer": { "enabled": true } } }))?;
    story.eventually("the change is seen", || {
        let it = story.object("llminferenceservice", "steady")?;
        Ok((it["status"]["observedGeneration"] == it["metadata"]["generation"]).then_some(()))
    })?;
    std::thread::sleep(Duration::from_secs(2));
    let seen = writes(since)?;
    assert!(seen.iter().any(|it| it.resource == "llminferenceservices/status"), "{seen:?}");
    assert!(seen.iter().all(|it| it.resource.starts_with("llminferenceservices")), "{seen:?}");

    let since = cluster.audit_position();
    story.kubectl(&["annotate", "llmisvc/steady", "example.com/poke=1"])?;
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(writes(since)?, []);
    Ok(())
}
