//! Manifests that users have, with the presets that they come with and with those of this project, become the objects
//! that users know.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use llmd_e2e::cluster::Level;
use llmd_e2e::installation::{Installation, Setup};
use serde_json::Value;

use super::objects::{PREFILL, ROUTE, SCHEDULER, SIDECAR, SINGLE_NODE};
use super::story::Story;

/// The samples and what each becomes.
const SAMPLES: [(&str, &[&[&str]]); 7] = [
    ("01-lora-hf-cpu.yaml", &[SINGLE_NODE, SCHEDULER, ROUTE]),
    ("llm-inference-service-facebook-opt-125m-cpu-no-scheduler.yaml", &[SINGLE_NODE, ROUTE]),
    ("llm-inference-service-facebook-opt-125m-cpu.yaml", &[SINGLE_NODE, SCHEDULER, ROUTE]),
    ("llm-inference-service-kv-cache-offloading.yaml", &[SINGLE_NODE, SCHEDULER, ROUTE]),
    ("llm-inference-service-pd-qwen2-7b-gpu.yaml", &[SINGLE_NODE, PREFILL, SIDECAR, SCHEDULER, ROUTE]),
    ("llm-inference-service-qwen2-7b-gpu-no-scheduler.yaml", &[SINGLE_NODE, ROUTE]),
    ("llm-inference-service-qwen2-7b-gpu.yaml", &[SINGLE_NODE, SCHEDULER, ROUTE]),
];

/// A service that is there before the presets are.
const EARLY: &str = "
apiVersion: serving.kserve.io/v1alpha2
kind: LLMInferenceService
metadata: {name: early}
spec:
  model: {uri: 'hf://org/tiny', name: tiny}
";

/// A folder beside the repository with what others publish; `None`, with a word on it, where it is absent.
fn samples(folder: &str) -> Result<Option<PathBuf>> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/samples").join(folder);
    if root.exists() {
        return Ok(Some(root.canonicalize()?));
    }
    println!("skipped: no {}", root.display());
    Ok(None)
}

/// Applies every sample, each in a namespace of its own, and compares what becomes of it.
fn tell(installation: &Arc<Installation>, prefix: &str) -> Result<()> {
    let Some(folder) = samples("llmisvc")? else { return Ok(()) };
    let entries = fs::read_dir(&folder)?.collect::<std::io::Result<Vec<_>>>()?;
    let found: BTreeSet<_> = entries.iter().map(|it| it.file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(found, SAMPLES.iter().map(|(name, _)| (*name).to_owned()).collect());
    for (number, (file, parts)) in SAMPLES.iter().enumerate() {
        let story = Story::within(Arc::clone(installation), &format!("{prefix}-{number}"))?;
        let text = fs::read_to_string(folder.join(file))?;
        let mut sample: Value = serde_saphyr::from_str(&text)?;
        sample["metadata"]["namespace"] = story.namespace.as_str().into();
        let name = sample["metadata"]["name"].as_str().context("the sample has a name")?.to_owned();
        // One sample has a field that no version of the API has.
        let create = ["-n", &story.namespace, "create", "--validate=ignore", "-f", "-"];
        installation.cluster.kubectl_with_input(&create, &sample.to_string())?;
        story.has_exactly(&name, parts).with_context(|| (*file).to_owned())?;
        story.condition(&name, "PresetsCombined", "True")?;
        let conditions = story.object("llminferenceservice", &name)?["status"]["conditions"].clone();
        assert!(!conditions.to_string().contains("Error"), "{file}: {conditions}");
    }
    Ok(())
}

#[test]
fn samples_become_the_known_objects_once_their_own_presets_are_there() -> Result<()> {
    let Some(presets) = samples("presets")? else { return Ok(()) };
    let setup = Setup { without_presets: true, ..Setup::default() };
    let installation = match Installation::start(Level::ControlPlane, setup)? {
        Ok(it) => Arc::new(it),
        Err(reason) => {
            println!("skipped: {reason}");
            return Ok(());
        }
    };
    let early = Story::within(Arc::clone(&installation), "early")?;
    early.apply(EARLY)?;
    let condition = early.condition("early", "PresetsCombined", "False")?;
    assert_eq!(condition["reason"], "ConfigNotFound");
    installation.install_presets(&presets)?;
    early.has_exactly("early", &[SINGLE_NODE])?;
    tell(&installation, "theirs")
}

#[test]
fn samples_become_the_known_objects_with_the_presets_of_this_project() -> Result<()> {
    let Some(story) = Story::begin("samples")? else { return Ok(()) };
    tell(&story.installation, "ours")
}
