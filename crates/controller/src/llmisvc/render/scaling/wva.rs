//! What the workload variant autoscaler reads and publishes.

use std::collections::BTreeMap;

use super::Scaled;

/// Metric with the replicas that the autoscaler wants for a variant.
pub(super) const DESIRED_REPLICAS: &str = "wva_desired_replicas";
/// Label of that metric: the name of the object that follows it.
pub(super) const VARIANT: &str = "variant_name";
/// Relative cost of a replica where the user gives none.
const DEFAULT_COST: &str = "10.0";

/// Marks the object as the autoscaler's and says which model it serves at which cost.
pub(super) fn annotations(scaled: &Scaled<'_>) -> BTreeMap<String, String> {
    let cost = scaled.scaling.wva.as_ref().and_then(|it| it.variant_cost.as_deref());
    [
        ("llm-d.ai/managed", "true"),
        ("llm-d.ai/model-id", model_id(scaled)),
        ("llm-d.ai/variant-cost", cost.unwrap_or(DEFAULT_COST)),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

/// The model's name as it is served, otherwise its URI.
fn model_id<'a>(scaled: &Scaled<'a>) -> &'a str {
    let Some(model) = &scaled.workload.service.spec.model else { return &scaled.workload.service.name };
    model.name.as_deref().filter(|it| !it.is_empty()).unwrap_or(&model.uri)
}
