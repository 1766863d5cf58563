//! Configs under a service: they are merged in order, followed when they change, and one that is missing or does not
//! render is told to its users alone.

use anyhow::Result;
use serde_json::{Value, json};

use super::story::Story;

/// A service with these baseRefs.
fn service(name: &str, base_refs: &[&str]) -> String {
    let base_refs: Vec<Value> = base_refs.iter().map(|it| json!({ "name": it })).collect();
    json!({
        "apiVersion": "serving.kserve.io/v1alpha2", "kind": "LLMInferenceService",
        "metadata": { "name": name },
        "spec": { "model": { "uri": "hf://org/tiny", "name": "tiny" }, "baseRefs": base_refs },
    })
    .to_string()
}

/// A config that sets environment variables of the engine.
fn config(name: &str, env: &[(&str, &str)]) -> String {
    let env: Vec<Value> = env.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    json!({
        "apiVersion": "serving.kserve.io/v1alpha2", "kind": "LLMInferenceServiceConfig",
        "metadata": { "name": name },
        "spec": { "template": { "containers": [{ "name": "main", "env": env }] } },
    })
    .to_string()
}

/// The engine's environment variable in the service's Deployment.
fn env(story: &Story, service: &str, name: &str) -> Result<Option<String>> {
    let deployment = story.object("deployment", &format!("{service}-kserve"))?;
    let env = &deployment["spec"]["template"]["spec"]["containers"][0]["env"];
    let found = env.as_array().into_iter().flatten().find(|it| it["name"] == name);
    Ok(found.and_then(|it| it["value"].as_str()).map(str::to_owned))
}

fn has_env(story: &Story, service: &str, name: &str, value: &str) -> Result<()> {
    story.eventually(&format!("{service} runs with {name}={value}"), || {
        Ok((env(story, service, name)?.as_deref() == Some(value)).then_some(()))
    })
}

#[test]
fn a_preset_that_changes_rolls_the_services_that_use_it() -> Result<()> {
    let Some(story) = Story::begin("presets-change")? else { return Ok(()) };
    story.apply(&service("follows", &[]))?;
    story.condition("follows", "Ready", "True")?;
    let generation = |it: &Value| it["metadata"]["generation"].as_i64();
    let before = story.object("deployment", "follows-kserve")?;

    // One of the service's own namespace goes before the installation's.
    let preset = story.installation.cluster.get(
        "kserve",
        "llminferenceserviceconfig",
        "kserve-config-llm-template",
    )?;
    let mut spec = preset.unwrap_or_default()["spec"].clone();
    for version in ["1", "2"] {
        let env = json!([{ "name": "PRESET_VERSION", "value": version }]);
        spec["template"]["containers"][0]["env"] = env;
        let own = json!({
            "apiVersion": "serving.kserve.io/v1alpha2", "kind": "LLMInferenceServiceConfig",
            "metadata": { "name": "kserve-config-llm-template" }, "spec": spec,
        });
        story.apply(&own.to_string())?;
        has_env(&story, "follows", "PRESET_VERSION", version)?;
    }
    let after = story.object("deployment", "follows-kserve")?;
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    assert!(generation(&after) > generation(&before));
    let applied = story.object("llminferenceservice", "follows")?["status"]["appliedConfigs"].clone();
    let expected =
        json!([{ "name": "kserve-config-llm-template", "namespace": "presets-change", "source": "Preset" }]);
    assert_eq!(applied, expected);
    Ok(())
}

#[test]
fn a_missing_config_is_named_and_its_arrival_noticed() -> Result<()> {
    let Some(story) = Story::begin("presets-missing")? else { return Ok(()) };
    story.apply(&service("waits", &["late"]))?;
    let condition = story.condition("waits", "PresetsCombined", "False")?;
    assert_eq!(condition["reason"], "ConfigNotFound");
    let message = "LLMInferenceServiceConfig \"late\" not found in namespaces [presets-missing kserve]";
    assert_eq!(condition["message"], message);
    assert_eq!(story.condition("waits", "Ready", "False")?["reason"], "ConfigNotFound");
    assert_eq!(story.find("deployment", "waits-kserve")?, None);

    story.apply(&config("late", &[("LATE", "1")]))?;
    story.condition("waits", "Ready", "True")?;
    has_env(&story, "waits", "LATE", "1")
}

#[test]
fn a_config_that_does_not_render_harms_its_users_alone() -> Result<()> {
    let Some(story) = Story::begin("presets-broken")? else { return Ok(()) };
    let refused = story.apply(&config("broken", &[("NAME", "{{ .Spec.Model.Name ")]));
    let message = refused.expect_err("a config that never renders is refused").to_string();
    assert!(message.contains("unclosed action") || message.contains("template"), "{message}");

    // Names of twelve characters and more have the slice that this asks for.
    story.apply(&config("first-letters", &[("FIRST_LETTERS", "{{ slice .ObjectMeta.Name 0 12 }}")]))?;
    story.apply(&service("short", &["first-letters"]))?;
    story.apply(&service("long-enough-name", &["first-letters"]))?;
    story.apply(&service("bystander", &[]))?;
    let condition = story.condition("short", "PresetsCombined", "False")?;
    assert_eq!(condition["reason"], "CombineBaseError");
    assert!(condition["message"].as_str().is_some_and(|it| it.contains("first-letters")), "{condition}");
    story.condition("long-enough-name", "Ready", "True")?;
    story.condition("bystander", "Ready", "True")?;
    has_env(&story, "long-enough-name", "FIRST_LETTERS", "long-enough-")?;

    // A preset that stops rendering leaves the running objects alone.
    story.apply(&config("first-letters", &[("FIRST_LETTERS", "{{ slice .ObjectMeta.Name 0 14 }}")]))?;
    has_env(&story, "long-enough-name", "FIRST_LETTERS", "long-enough-na")?;
    story.apply(&config("first-letters", &[("FIRST_LETTERS", "{{ .ObjectMeta.Name }}")]))?;
    story.condition("short", "Ready", "True")?;
    has_env(&story, "short", "FIRST_LETTERS", "short")
}

#[test]
fn later_base_refs_win_and_the_service_wins_over_all() -> Result<()> {
    let Some(story) = Story::begin("presets-order")? else { return Ok(()) };
    story.apply(&config("first", &[("A", "first"), ("B", "first"), ("C", "first")]))?;
    story.apply(&config("second", &[("A", "second"), ("B", "second")]))?;
    story.apply(&service("merged", &["first", "second"]))?;
    let own = json!({ "spec": { "template": { "containers": [
        { "name": "main", "env": [{ "name": "A", "value": "own" }] },
    ] } } });
    story.patch("llmisvc/merged", &own)?;
    for (name, value) in [("A", "own"), ("B", "second"), ("C", "first"), ("HOME", "/tmp")] {
        has_env(&story, "merged", name, value)?;
    }
    story.condition("merged", "Ready", "True")?;
    let applied = story.object("llminferenceservice", "merged")?["status"]["appliedConfigs"].clone();
    let names: Vec<_> = applied.as_array().into_iter().flatten().map(|it| it["name"].clone()).collect();
    assert_eq!(names, ["kserve-config-llm-template", "first", "second"]);

    story.patch(
        "llmisvc/merged",
        &json!({ "spec": { "baseRefs": [{ "name": "second" }, { "name": "first" }] } }),
    )?;
    has_env(&story, "merged", "B", "first")
}

#[test]
fn another_engine_changes_the_image_and_not_the_command() -> Result<()> {
    let Some(story) = Story::begin("presets-engine")? else { return Ok(()) };
    story.apply(&service("engine", &[]))?;
    story.condition("engine", "Ready", "True")?;
    let pod = || -> Result<Value> {
        Ok(story.object("deployment", "engine-kserve")?["spec"]["template"]["spec"].clone())
    };
    let mut before = pod()?;
    story.patch("llmisvc/engine", &json!({ "spec": { "baseRefs": [{ "name": "llmd-engine-vllm" }] } }))?;
    let mut after = story.eventually("vLLM's image", || {
        let pod = pod()?;
        let image = pod["containers"][0]["image"].as_str().unwrap_or_default();
        Ok(image.starts_with("docker.io/vllm/").then_some(pod))
    })?;
    for it in [&mut before, &mut after] {
        let main = &mut it["containers"][0];
        // What the image is and what it may do.
        main["image"] = Value::Null;
        main["securityContext"] = Value::Null;
    }
    assert_eq!(before, after);
    Ok(())
}
