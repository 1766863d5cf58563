//! Schema of `status.conditions` in objects of this API.

use schemars::Schema;
use serde_json::json;

use crate::crd::limits;

/// A list of at most eight conditions, one of each type.
pub(super) fn list(schema: &mut Schema) {
    limits::items(0, 8)(schema);
    limits::keyed_by("type")(schema);
}

/// What the list holds until a controller writes it.
pub(super) fn pending(type_: &str) -> impl FnMut(&mut Schema) + use<> {
    limits::default(json!([{
        "type": type_,
        "status": "Unknown",
        "reason": "Pending",
        "message": "Waiting for controller",
        "lastTransitionTime": "1970-01-01T00:00:00Z",
    }]))
}
