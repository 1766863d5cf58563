//! Annotations that ask for devices by dynamic resource allocation.

use std::collections::BTreeMap;

use llmd_api::meta;
use serde_json::json;

use super::{FieldError, Verdict, is_dns_label};

/// Longest DNS-1123 subdomain.
const MAX_SUBDOMAIN: usize = 253;

pub(super) fn check(annotations: &BTreeMap<String, String>, verdict: &mut Verdict) {
    let get = |key: &str| annotations.get(key).map(String::as_str);
    let class = get(meta::DRA_DEVICE_CLASS);
    if let Some(class) = class.filter(|it| !is_dns_subdomain(it)) {
        verdict.error(FieldError::invalid(
            path(meta::DRA_DEVICE_CLASS),
            json!(class),
            "a DeviceClass is named by lower-case letters, digits, '-' and '.', with a letter or digit at both ends",
        ));
    }
    if class.is_none() {
        for key in [meta::DRA_DEVICE_COUNT, meta::DRA_CEL_SELECTOR, meta::DRA_CONTAINER_NAME] {
            if let Some(value) = get(key) {
                verdict.error(FieldError::invalid(
                    path(key),
                    json!(value),
                    format!("it only has a meaning with {}: add that, or remove it", meta::DRA_DEVICE_CLASS),
                ));
            }
        }
        return;
    }
    if let Some(count) = get(meta::DRA_DEVICE_COUNT).filter(|it| !it.parse().is_ok_and(|it: i64| it >= 1)) {
        verdict.error(FieldError::invalid(
            path(meta::DRA_DEVICE_COUNT),
            json!(count),
            "use a number of 1 or more",
        ));
    }
    if let Some(cel) = get(meta::DRA_CEL_SELECTOR).filter(|it| it.lines().all(|it| it.trim().is_empty())) {
        verdict.error(FieldError::invalid(
            path(meta::DRA_CEL_SELECTOR),
            json!(cel),
            "give at least one CEL expression, one a line, or remove it",
        ));
    }
    if let Some(container) = get(meta::DRA_CONTAINER_NAME).filter(|it| !is_dns_label(it)) {
        verdict.error(FieldError::invalid(
            path(meta::DRA_CONTAINER_NAME),
            json!(container),
            "a container is named by 1 to 63 lower-case letters, digits and dashes",
        ));
    }
}

fn path(key: &str) -> String {
    format!("metadata.annotations[{key}]")
}

fn is_dns_subdomain(name: &str) -> bool {
    name.len() <= MAX_SUBDOMAIN && name.split('.').all(is_dns_label)
}
