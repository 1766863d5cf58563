//! A ConversionReview and its answer: every object in the version that the API server wants.

use kube::core::Status;
use kube::core::conversion::{ConversionRequest, ConversionResponse, ConversionReview};
use llmd_api::serving::conversion::{ConversionError, convert};
use serde_json::Value;

use super::review::Malformed;

/// The version that the controller works with and the API server stores.
const STORAGE: &str = "serving.kserve.io/v1alpha2";
const REVIEW: &str = "apiextensions.k8s.io/v1";

/// Converts all objects of a review, or none.
pub(super) fn review(body: &[u8]) -> Result<ConversionReview, Malformed> {
    let review: ConversionReview = serde_json::from_slice(body)
        .map_err(|source| Malformed::Json { expected: "ConversionReview", source })?;
    if review.types.api_version != REVIEW {
        return Err(Malformed::Version {
            api_version: review.types.api_version,
            kind: review.types.kind,
            expected: REVIEW,
        });
    }
    let mut request = ConversionRequest::from_review(review).map_err(|_| Malformed::NoRequest)?;
    let objects = std::mem::take(&mut request.objects);
    let wanted = request.desired_api_version.clone();
    let response = ConversionResponse::for_request(request);
    let converted = objects.into_iter().map(|it| {
        let object = identity(&it);
        convert(it, &wanted).map_err(|error| format!("{object}: {error}"))
    });
    let response = match converted.collect::<Result<Vec<_>, _>>() {
        Ok(objects) => response.success(objects),
        Err(message) => response.failure(Status::failure(&message, "Invalid")),
    };
    Ok(response.into_review())
}

/// The object as the controller reads it.
pub(super) fn to_storage_version(object: Value) -> Result<Value, ConversionError> {
    convert(object, STORAGE)
}

fn identity(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    format!("{} {}/{}", text("/kind"), text("/metadata/namespace"), text("/metadata/name"))
}
