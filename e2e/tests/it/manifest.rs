//! One manifest, without a cluster: rendered, explained, and run as processes of this machine.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use llmd_e2e::client::Client;
use llmd_e2e::golden;
use llmd_e2e::stack::{Stack, llmd};
use tempfile::TempDir;

const SERVICE: &str = "
apiVersion: serving.kserve.io/v1alpha2
kind: LLMInferenceService
metadata: {name: chat, namespace: team}
spec:
  model: {uri: 'hf://example/tiny', name: tiny}
  replicas: 1
  template:
    containers:
    - name: main
      args: [--max-model-len, '512']
      env: [{name: VLLM_CPU_KVCACHE_SPACE, value: '1'}]
  prefill: {replicas: 1}
  router:
    route: {}
    gateway: {}
    scheduler:
      config:
        inline:
          apiVersion: llm-d.ai/v1alpha1
          kind: EndpointPickerConfig
          plugins:
          - type: prefill-filter
          - type: decode-filter
          - type: queue-scorer
          - type: max-score-picker
          - type: always-disagg-pd-decider
          - type: disagg-profile-handler
            parameters: {deciders: {prefill: always-disagg-pd-decider}}
          schedulingProfiles:
          - {name: prefill, plugins: [{pluginRef: prefill-filter}, {pluginRef: queue-scorer}, {pluginRef: max-score-picker}]}
          - {name: decode, plugins: [{pluginRef: decode-filter}, {pluginRef: queue-scorer}, {pluginRef: max-score-picker}]}
";

/// The manifest in a folder that goes with the story.
fn manifest(text: &str) -> Result<(TempDir, PathBuf)> {
    let dir = TempDir::new()?;
    let file = dir.path().join("service.yaml");
    std::fs::write(&file, text)?;
    Ok((dir, file))
}

/// Standard output of `llmd` with these arguments and `-f FILE`, or what it said instead.
async fn said(command: &str, file: &std::path::Path, more: &[&str]) -> Result<Result<String, String>> {
    let file = file.to_string_lossy();
    let arguments: Vec<&str> = [command, "-f", &file].into_iter().chain(more.iter().copied()).collect();
    let output = llmd(&arguments).await?;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes);
    Ok(if output.status.success() { Ok(text(output.stdout)?) } else { Err(text(output.stderr)?) })
}

#[tokio::test]
async fn the_same_service_runs_as_local_processes() -> Result<()> {
    let (_dir, file) = manifest(SERVICE)?;
    let model = golden::model_dir();
    let arguments = ["-f", &file.to_string_lossy(), "--model", &model.to_string_lossy()];
    let stack = Stack::up(&arguments).await?;
    let status = stack.status().await?;
    let components = status["components"].as_array().context("status lists components")?;
    let names: Vec<_> = components.iter().filter_map(|it| it["name"].as_str()).collect();
    ensure!(names == ["epp", "sidecar-0", "decode-0", "prefill-0"], "{names:?}");

    let case = golden::case("What is prefill?")?;
    let client = stack.client().await?;
    for name in ["tiny", "publishers/team/models/tiny"] {
        let answer = client.chat_text(name, &case.messages).await?;
        ensure!(answer == case.text, "{name} answered {answer:?}");
    }
    for (engine, length) in [("decode-0", 512), ("prefill-0", 2048)] {
        let models = Client::new(&stack.url(engine, "http").await?).get("/v1/models").await?.json()?;
        ensure!(
            models["data"][0]["max_model_len"] == length,
            "{engine} has the flags of its workload: {models}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn rendering_prints_the_same_objects_each_time() -> Result<()> {
    let (_dir, file) = manifest(SERVICE)?;
    let rendered = said("render", &file, &[]).await?.map_err(anyhow::Error::msg)?;
    ensure!(rendered == said("render", &file, &[]).await?.map_err(anyhow::Error::msg)?, "two runs differ");
    for name in ["chat-kserve\n", "chat-kserve-prefill\n", "chat-inference-pool\n", "chat-kserve-route\n"] {
        ensure!(rendered.contains(&format!("  name: {name}")), "no {name} in\n{rendered}");
    }
    Ok(())
}

#[tokio::test]
async fn explaining_names_the_layer_of_a_field() -> Result<()> {
    let (_dir, file) = manifest(SERVICE)?;
    let explained =
        said("explain", &file, &["template.containers[main].image"]).await?.map_err(anyhow::Error::msg)?;
    ensure!(explained.contains("from Preset kserve/kserve-config-llm-decode-template"), "{explained}");
    let refused =
        said("explain", &file, &["template.containers[other]"]).await?.err().context("no such container")?;
    ensure!(refused.contains("there is: main"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn a_wrong_manifest_is_named_with_its_field() -> Result<()> {
    for (spec, expected) in [
        ("{model: {uri: 'ftp://host/m'}}", "unsupported schema in model URI"),
        ("{model: {uri: 'hf://o/m'}, worker: {}}", "spec.parallelism: Required value"),
        ("{model: {uri: 'hf://o/m'}, baseRefs: [{name: nobody}]}", "\"nobody\" not found"),
        ("{replicas: many}", "replicas: invalid type"),
    ] {
        let head =
            "apiVersion: serving.kserve.io/v1alpha2\nkind: LLMInferenceService\nmetadata: {name: it}\nspec: ";
        let (_dir, file) = manifest(&format!("{head}{spec}\n"))?;
        let refused = said("render", &file, &[]).await?.err().context("a wrong manifest was rendered")?;
        ensure!(refused.contains(expected), "{spec}: {refused}");
    }
    Ok(())
}
