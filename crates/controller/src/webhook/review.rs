//! An AdmissionReview and its answer, both `admission.k8s.io/v1`.

use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview, META_API_VERSION_V1};
use kube::core::response::{Status, StatusCause, StatusDetails};
use kube::core::{DynamicObject, GroupVersionKind};
use serde_json::Value;

use super::{Cluster, default, validate};
use crate::llmisvc::validate::{FieldError, Verdict};

/// What the API server asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    DefaultService,
    ValidateService,
    ValidateConfig,
}

/// Where each webhook is served; the paths are public.
pub const HOOKS: [(&str, Hook); 6] = [
    ("/mutate-serving-kserve-io-v1alpha1-llminferenceservice", Hook::DefaultService),
    ("/mutate-serving-kserve-io-v1alpha2-llminferenceservice", Hook::DefaultService),
    ("/validate-serving-kserve-io-v1alpha1-llminferenceservice", Hook::ValidateService),
    ("/validate-serving-kserve-io-v1alpha2-llminferenceservice", Hook::ValidateService),
    ("/validate-serving-kserve-io-v1alpha1-llminferenceserviceconfig", Hook::ValidateConfig),
    ("/validate-serving-kserve-io-v1alpha2-llminferenceserviceconfig", Hook::ValidateConfig),
];

/// Why a body is no review. The text is the whole answer to it.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// The body is not JSON of the expected shape.
    #[error("the body is no {expected}: {source}")]
    Json {
        expected: &'static str,
        #[source]
        source: serde_json::Error,
    },
    /// The review is of a version that this program does not speak.
    #[error("the body is {api_version:?} {kind:?}, expected {expected:?}")]
    Version { api_version: String, kind: String, expected: &'static str },
    /// The review holds no request.
    #[error("the review has no request")]
    NoRequest,
}

/// Answers one review.
///
/// # Errors
/// When the body is no AdmissionReview; what is wrong with the object in it is part of the answer.
pub fn review(
    hook: Hook,
    body: &[u8],
    cluster: &dyn Cluster,
) -> Result<AdmissionReview<DynamicObject>, Malformed> {
    let review: AdmissionReview<DynamicObject> = serde_json::from_slice(body)
        .map_err(|source| Malformed::Json { expected: "AdmissionReview", source })?;
    if review.types.api_version != META_API_VERSION_V1 {
        return Err(Malformed::Version {
            api_version: review.types.api_version,
            kind: review.types.kind,
            expected: META_API_VERSION_V1,
        });
    }
    let request: AdmissionRequest<DynamicObject> = review.try_into().map_err(|_| Malformed::NoRequest)?;
    let response = match hook {
        Hook::DefaultService => default_service(&request, cluster),
        Hook::ValidateService => verdict(&request, validate::service(&request, cluster)),
        Hook::ValidateConfig => verdict(&request, validate::config(&request, cluster)),
    };
    Ok(response.into_review())
}

fn default_service(request: &AdmissionRequest<DynamicObject>, cluster: &dyn Cluster) -> AdmissionResponse {
    let response = AdmissionResponse::from(request);
    let Some(before) = object(request) else { return response };
    let enabled = cluster.settings().local_model.enabled;
    let caches =
        enabled.then(|| cluster.local_model_caches(request.namespace.as_deref().unwrap_or_default()));
    let mut after = before.clone();
    default::apply(&mut after, caches.as_deref());
    if before == after {
        return response;
    }
    response.with_patch(json_patch::diff(&before, &after)).expect("a JSON patch is JSON")
}

/// The object of a request as JSON, with the identity that the API server will give it.
pub(super) fn object(request: &AdmissionRequest<DynamicObject>) -> Option<Value> {
    let mut object = request.object.clone()?;
    if let Some(namespace) = request.namespace.clone().filter(|it| !it.is_empty()) {
        object.metadata.namespace.get_or_insert(namespace);
    }
    if !request.name.is_empty() {
        object.metadata.name.get_or_insert_with(|| request.name.clone());
    }
    Some(as_json(&object))
}

pub(super) fn as_json(object: &DynamicObject) -> Value {
    serde_json::to_value(object).expect("an object that was read from JSON is JSON")
}

fn verdict(request: &AdmissionRequest<DynamicObject>, verdict: Verdict) -> AdmissionResponse {
    let Verdict { errors, warnings } = verdict;
    let mut response = AdmissionResponse::from(request);
    if !errors.is_empty() {
        response.allowed = false;
        response.result = invalid(&request.kind, &request.name, &errors);
    }
    response.warnings = (!warnings.is_empty()).then_some(warnings);
    response
}

/// The Status with which the API machinery refuses an invalid object.
fn invalid(kind: &GroupVersionKind, name: &str, errors: &[FieldError]) -> Status {
    let listed: Vec<String> = errors.iter().map(FieldError::to_string).collect();
    let text = match listed.as_slice() {
        [only] => only.clone(),
        several => format!("[{}]", several.join(", ")),
    };
    let message = format!("{}.{} {name:?} is invalid: {text}", kind.kind, kind.group);
    let causes = errors.iter().map(|it| StatusCause {
        reason: it.kind.reason().to_owned(),
        message: it.body(),
        field: it.path.clone(),
    });
    Status::failure(&message, "Invalid").with_code(422).with_details(StatusDetails {
        name: name.to_owned(),
        group: kind.group.clone(),
        kind: kind.kind.clone(),
        uid: String::new(),
        causes: causes.collect(),
        retry_after_seconds: 0,
    })
}

#[cfg(test)]
mod tests;
