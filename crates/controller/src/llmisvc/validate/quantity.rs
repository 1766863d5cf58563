//! The sign of a quantity; its size does not matter to any rule.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// Whether the quantity is a number greater than zero.
///
/// Format: <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>. Digits come before
/// the suffix or exponent, and neither of these can make a number zero.
pub(super) fn is_positive(quantity: &Quantity) -> bool {
    let text = quantity.0.strip_prefix('+').unwrap_or(&quantity.0);
    let digits = text.split(|it: char| !it.is_ascii_digit() && it != '.').next().unwrap_or_default();
    digits.bytes().any(|it| matches!(it, b'1'..=b'9'))
}
