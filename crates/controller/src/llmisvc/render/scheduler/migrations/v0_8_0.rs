//! 0.8.0: the plugin that knows the metrics' names is called after what it does with them.

use serde_json::Value;

use super::{Step, Surroundings, Version, document, v0_7_0};

pub(super) const STEP: Step = Step { since: Version(0, 8, 0), flags: &[], apply };

fn apply(config: &mut Value, _: &Surroundings<'_>) {
    document::rename_type(config, v0_7_0::PROTOCOL_METRICS, v0_7_0::METRICS_EXTRACTOR);
}
