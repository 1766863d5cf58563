//! The API server's own judgement of an effective spec: a dry-run creation of a service that has it.
//!
//! Schema and admission rules apply to what configs and spec become together, not only to each part. One request for
//! each new effective spec; what was accepted is remembered. Scaling asks for none: the number of replicas that the
//! service itself names was judged when it was written, and no rule compares it with another field.

use std::hash::{DefaultHasher, Hasher};

use kube::api::{Api, DynamicObject, PostParams};
use kube::core::ApiResource;
use llmd_api::meta;
use llmd_api::names::child_name;
use llmd_api::serving::conditions as types;
use llmd_api::serving::status::ConfigSource;
use llmd_api::serving::v1alpha2::{LLMInferenceService, LLMInferenceServiceSpec, WorkloadSpec};
use serde_json::json;

use super::reconcile::Accepted;
use super::section::SectionError;
use crate::context::Context;
use crate::fault::Fault;
use crate::index::Key;
use crate::live::convert::hash_json;

/// What is wrong with the effective spec, if anything. A stopped service is not judged.
///
/// # Errors
/// When the API server gives no judgement.
pub async fn validate(
    context: &Context,
    key: &Key,
    object: &LLMInferenceService,
    effective: &Accepted,
) -> Result<Option<SectionError>, Fault> {
    if object.metadata.annotations.as_ref().is_some_and(meta::is_stopped) || effective.applied.is_empty() {
        return Ok(None);
    }
    let digest = digest(&effective.spec, &object.spec);
    if context.applied.is_accepted(key, digest) {
        return Ok(None);
    }
    let resource = ApiResource::erase::<LLMInferenceService>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), &key.namespace, &resource);
    let mut body = DynamicObject::new("", &resource).within(&key.namespace);
    body.metadata.name = None;
    body.metadata.generate_name = Some(child_name(&key.name, "-validation-"));
    body.data = json!({"spec": effective.spec});
    let params = PostParams { dry_run: true, ..PostParams::default() };
    match api.create(&params, &body).await {
        Ok(_) => {
            context.applied.accept(key, digest);
            Ok(None)
        }
        Err(kube::Error::Api(status)) if status.code == 422 => {
            let message = format!(
                "dry-run validation failed after merging configs [{}]: {}",
                layers(effective),
                causes(&status)
            );
            Ok(Some(SectionError::new(types::PRESETS_COMBINED, "InvalidRenderedConfig", message)))
        }
        Err(source) => Err(source.into()),
    }
}

/// Equal for effective specs that are judged alike.
fn digest(effective: &LLMInferenceServiceSpec, own: &LLMInferenceServiceSpec) -> u64 {
    let mut spec = effective.clone();
    level(&mut spec.workload, &own.workload);
    if let (Some(prefill), Some(own)) = (&mut spec.prefill, &own.prefill) {
        level(prefill, own);
    }
    let mut hasher = DefaultHasher::new();
    hash_json(&serde_json::to_value(&spec).expect("a spec is JSON"), &mut hasher);
    hasher.finish()
}

/// Makes one number of all that the service itself may name; having none stays another matter.
fn level(workload: &mut WorkloadSpec, own: &WorkloadSpec) {
    if own.replicas.is_some() && workload.replicas == own.replicas {
        workload.replicas = Some(0);
    }
}

fn layers(effective: &Accepted) -> String {
    let layer = |it: &llmd_api::serving::status::AppliedConfig| {
        let source = match it.source {
            ConfigSource::Preset => "Preset",
            ConfigSource::UserRef => "UserRef",
        };
        format!("{source}:{}/{}", it.namespace, it.name)
    };
    effective.applied.iter().map(layer).collect::<Vec<_>>().join(", ")
}

/// Every wrong field, or the whole message where the API server names none.
fn causes(status: &kube::core::Status) -> String {
    let causes = status.details.iter().flat_map(|it| &it.causes);
    let fields: Vec<_> = causes.map(|it| format!("{}: {}", it.field, it.message)).collect();
    if fields.is_empty() { status.message.clone() } else { fields.join("; ") }
}

#[cfg(test)]
mod tests {
    use llmd_api::crd::{Variant, serving};
    use serde_json::Value;

    use super::*;

    fn spec(replicas: Option<i32>, prefill: Option<i32>) -> LLMInferenceServiceSpec {
        let workload = |replicas| WorkloadSpec { replicas, ..WorkloadSpec::default() };
        LLMInferenceServiceSpec {
            workload: workload(replicas),
            prefill: Some(workload(prefill)),
            ..LLMInferenceServiceSpec::default()
        }
    }

    #[test]
    fn scaling_asks_for_no_new_judgement() {
        let own = |main, prefill| digest(&spec(main, prefill), &spec(main, prefill));
        assert_eq!(own(Some(2), Some(1)), own(Some(7), Some(3)));
        assert_ne!(own(Some(2), Some(1)), own(None, Some(1)), "rules ask whether there is a number");
        let from_config = |main| digest(&spec(Some(main), None), &spec(None, None));
        assert_ne!(from_config(2), from_config(3), "nobody judged what configs bring in");
    }

    #[test]
    fn rules_ask_of_replicas_only_whether_there_are_any() {
        let mut rules = Vec::new();
        for definition in serving(Variant::Full) {
            collect(&definition.object, &mut rules);
        }
        let about: Vec<_> = rules.iter().filter(|it| it.contains("self.replicas")).collect();
        assert!(!about.is_empty());
        for rule in about {
            assert_eq!(
                rule.matches("self.replicas").count(),
                rule.matches("has(self.replicas)").count(),
                "{rule}"
            );
        }
    }

    fn collect(schema: &Value, rules: &mut Vec<String>) {
        let own = schema.get("x-kubernetes-validations").and_then(Value::as_array);
        rules.extend(own.into_iter().flatten().filter_map(|it| Some(it["rule"].as_str()?.to_owned())));
        match schema {
            Value::Object(members) => members.values().for_each(|it| collect(it, rules)),
            Value::Array(items) => items.iter().for_each(|it| collect(it, rules)),
            _ => {}
        }
    }
}
