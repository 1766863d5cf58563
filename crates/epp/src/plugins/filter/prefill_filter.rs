//! `prefill-filter`: keeps endpoints whose role label says that they prefill.

use std::sync::Arc;

use crate::config::ConfigError;
use crate::config::build::Build;
use crate::plugin::{Extension, Filter};
use crate::request::InferenceRequest;
use crate::scheduling::Candidate;

const ROLES: [&str; 5] = ["prefill", "encode-prefill", "prefill-decode", "both", "encode-prefill-decode"];

/// See the module; its table of roles is tested beside `decode-filter`.
#[derive(Debug)]
pub struct PrefillFilter;

impl Filter for PrefillFilter {
    fn filter(&self, _request: &InferenceRequest<'_>, candidates: &[Candidate<'_>], keep: &mut [bool]) {
        for (keep, candidate) in keep.iter_mut().zip(candidates) {
            *keep = candidate.endpoint.role().is_some_and(|role| ROLES.contains(&role));
        }
    }
}

pub(crate) fn build(build: &mut Build<'_, '_>) -> Result<Extension, ConfigError> {
    build.no_parameters()?;
    Ok(Extension::Filter(Arc::new(PrefillFilter)))
}
