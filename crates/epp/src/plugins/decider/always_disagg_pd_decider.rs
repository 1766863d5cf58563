//! `always-disagg-pd-decider`: every prompt is prefilled elsewhere.

use std::sync::Arc;

use crate::config::ConfigError;
use crate::config::build::Build;
use crate::plugin::{Decider, Extension};
use crate::request::InferenceRequest;
use crate::scheduling::Candidate;

/// See the module.
#[derive(Debug)]
pub struct AlwaysDisaggPdDecider;

impl Decider for AlwaysDisaggPdDecider {
    fn wants_stage(&self, _request: &InferenceRequest<'_>, _decode: &Candidate<'_>) -> bool {
        true
    }
}

pub(crate) fn build(build: &mut Build<'_, '_>) -> Result<Extension, ConfigError> {
    build.no_parameters()?;
    Ok(Extension::Decider(Arc::new(AlwaysDisaggPdDecider)))
}
