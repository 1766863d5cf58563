//! 0.10.0: how the engines' metrics are read is configured instead of given as flags. The port is the endpoint's own.

use serde_json::{Value, json};

use super::{Step, Surroundings, Version, document};
use crate::llmisvc::picker::command_line::Arity;

pub(super) const STEP: Step = Step {
    since: Version(0, 10, 0),
    flags: &[
        (SCHEME, Arity::Valued),
        (PATH, Arity::Valued),
        (SKIP_VERIFY, Arity::Switch),
        ("model-server-metrics-port", Arity::Valued),
    ],
    apply,
};

const SCHEME: &str = "model-server-metrics-scheme";
const PATH: &str = "model-server-metrics-path";
const SKIP_VERIFY: &str = "model-server-metrics-https-insecure-skip-verify";

/// What the configuration says already comes before a flag.
fn apply(config: &mut Value, surroundings: &Surroundings<'_>) {
    let text = |flag| surroundings.flags.get(flag).map(|it| json!(it));
    let switch = |flag| surroundings.flags.get(flag).map(|it| json!(it == "true"));
    let values =
        [("scheme", text(SCHEME)), ("path", text(PATH)), ("insecureSkipVerify", switch(SKIP_VERIFY))];
    let values: Vec<(&str, Value)> =
        values.into_iter().filter_map(|(field, value)| Some((field, value?))).collect();
    if values.is_empty() {
        return;
    }
    let source = document::ensure_plugin(config, document::METRICS_SOURCE);
    let Some(parameters) = source.and_then(document::parameters_mut) else { return };
    for (field, value) in values {
        parameters.entry(field).or_insert(value);
    }
}
