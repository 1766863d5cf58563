//! The API server's own judgement of an effective spec: a dry-run creation of a service that has it.
//!
//! Schema and admission rules apply to what configs and spec become together, not only to each part. One request for
//! each new effective spec; what was accepted is remembered.

use std::hash::{DefaultHasher, Hasher};

use kube::api::{Api, DynamicObject, PostParams};
use kube::core::ApiResource;
use llmd_api::meta;
use llmd_api::names::child_name;
use llmd_api::serving::conditions as types;
use llmd_api::serving::status::ConfigSource;
use llmd_api::serving::v1alpha2::LLMInferenceService;
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
    let spec = serde_json::to_value(&effective.spec).expect("a spec is JSON");
    let mut hasher = DefaultHasher::new();
    hash_json(&spec, &mut hasher);
    let digest = hasher.finish();
    if context.applied.is_accepted(key, digest) {
        return Ok(None);
    }
    let resource = ApiResource::erase::<LLMInferenceService>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), &key.namespace, &resource);
    let mut body = DynamicObject::new("", &resource).within(&key.namespace);
    body.metadata.name = None;
    body.metadata.generate_name = Some(child_name(&key.name, "-validation-"));
    body.data = json!({"spec": spec});
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
