//! The pipeline without a cluster: what the controller would apply for a manifest, and what is wrong with it.
//!
//! The same functions as in the controller, on a cluster that serves every API and holds nothing yet. What only a
//! running controller can make (the certificate) is not among the children.

use std::sync::Arc;

use llmd_api::serving::v1alpha2::LLMInferenceService;

use crate::apis::Apis;
use crate::children::Child;
use crate::llmisvc::check::check;
use crate::llmisvc::combine::{CombineError, ConfigSource, Effective, combine};
use crate::llmisvc::facts::Facts;
use crate::llmisvc::failure::blocks;
use crate::llmisvc::render::render;
use crate::llmisvc::section::SectionError;
use crate::llmisvc::service::Service;
use crate::llmisvc::validate::{FieldError, validate};
use crate::settings::{ClusterSettings, Installation};

/// A service, combined and rendered.
#[derive(Debug)]
pub struct Plan {
    pub effective: Effective,
    pub service: Service,
    /// In the order in which the controller applies them.
    pub children: Vec<Child>,
    /// What admission would warn of.
    pub warnings: Vec<String>,
}

/// Why a manifest has no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Fields that admission would refuse.
    #[error("{}", lines(.0))]
    Invalid(Vec<FieldError>),
    /// Presets and baseRefs do not combine.
    #[error(transparent)]
    Combine(#[from] CombineError),
    /// What keeps the controller from rendering; it would report these on the conditions of the service.
    #[error("{}", lines(.0))]
    Sections(Vec<SectionError>),
}

fn lines<E: ToString>(errors: &[E]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Validates, combines and renders `service` with the configs of `configs`.
///
/// # Errors
/// When admission or the controller would refuse it.
pub fn plan(
    service: &LLMInferenceService,
    configs: &dyn ConfigSource,
    installation: Installation,
    settings: ClusterSettings,
) -> Result<Plan, PlanError> {
    let verdict = validate(service, None);
    if !verdict.errors.is_empty() {
        return Err(PlanError::Invalid(verdict.errors));
    }
    let effective = combine(service, configs, &installation, &settings)?;
    let facts = Facts { apis: Apis::all(), ..Facts::default() };
    let service =
        Service::new(service, effective.spec.clone(), Arc::new(installation), Arc::new(settings), facts);
    // The rest only says what a cluster does not hold yet.
    let errors: Vec<SectionError> = check(&service).into_iter().filter(blocks).collect();
    if !errors.is_empty() {
        return Err(PlanError::Sections(errors));
    }
    let children = render(&service);
    Ok(Plan { effective, service, children, warnings: verdict.warnings })
}
