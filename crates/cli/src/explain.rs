//! `llmd explain`: which preset, baseRef or field of the service gave a field of the effective spec.

use std::io::Write as _;

use llmd_controller::llmisvc::combine::explain::{ExplainError, Explanation, explain};
use serde_json::Value;

use crate::args::ExplainArgs;
use crate::manifest;

/// Why nothing was explained.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The manifest has no plan.
    #[error(transparent)]
    Manifest(#[from] manifest::Error),
    /// The path names no field.
    #[error(transparent)]
    Path(#[from] ExplainError),
    /// Standard output is gone.
    #[error("cannot write to standard output")]
    Write(#[from] std::io::Error),
}

/// Prints the field's value, who gave it, and what it overrides.
///
/// # Errors
/// See [`Error`].
pub fn run(args: &ExplainArgs) -> Result<(), Error> {
    let plan = manifest::read(&args.manifest)?.plan()?;
    let explanation = explain(&plan.effective, &args.path)?;
    Ok(std::io::stdout().lock().write_all(shown(&explanation).as_bytes())?)
}

/// The explanation as text: the value, then the layers from the one that counts down.
fn shown(explanation: &Explanation) -> String {
    let Explanation { path, value, source, below } = explanation;
    let mut text = format!("{path}\n  {}\n  from {source}\n", on_one_line(value));
    for layer in below {
        text.push_str(&format!("  over {}: {}\n", layer.source, on_one_line(&layer.value)));
    }
    text
}

/// A value as JSON, which for a plain string is the string itself.
fn on_one_line(value: &Value) -> String {
    value.as_str().filter(|it| !it.contains('\n')).map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::ManifestArgs;

    #[test]
    fn the_layer_that_counts_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("service.yaml");
        let service = "
apiVersion: serving.kserve.io/v1alpha2
kind: LLMInferenceService
metadata: {name: it}
spec:
  model: {uri: 'hf://org/tiny'}
  template: {containers: [{name: main, image: 'example.com/engine:1'}]}
";
        std::fs::write(&file, service).unwrap();
        let manifest = ManifestArgs { file, preset: Vec::new(), namespace: "default".into() };
        let plan = manifest::read(&manifest).unwrap().plan().unwrap();
        let text = shown(&explain(&plan.effective, "template.containers[main].image").unwrap());
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        assert_eq!(lines[1], "example.com/engine:1");
        assert_eq!(lines[2], "from the service");
        assert!(lines[3].starts_with("over Preset kserve/kserve-config-llm-template: "), "{text}");
    }
}
