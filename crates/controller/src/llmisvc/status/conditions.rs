//! The set of conditions with knative's rule for `Ready`.
