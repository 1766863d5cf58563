//! `single-profile-handler`: runs the only profile.

use std::sync::Arc;

use crate::config::ConfigError;
use crate::config::build::Build;
use crate::plugin::{Extension, ProfileHandler};
use crate::scheduling::{Cycle, ScheduleError};

/// See the module.
#[derive(Debug)]
pub struct SingleProfileHandler;

impl ProfileHandler for SingleProfileHandler {
    fn check_profiles(&self, profiles: &[&str]) -> Result<(), String> {
        match profiles {
            [_] => Ok(()),
            _ => Err(format!(
                "it runs exactly one profile, but there are {}: {}",
                profiles.len(),
                profiles.join(", ")
            )),
        }
    }

    fn schedule(&self, cycle: &mut Cycle<'_, '_>) -> Result<usize, ScheduleError> {
        let profile = cycle.profile_names().next().ok_or(ScheduleError::NoEndpoint)?;
        cycle.run(profile).map(|(run, _)| run).ok_or(ScheduleError::NoEndpoint)
    }
}

pub(crate) fn build(build: &mut Build<'_, '_>) -> Result<Extension, ConfigError> {
    build.no_parameters()?;
    Ok(Extension::ProfileHandler(Arc::new(SingleProfileHandler)))
}
