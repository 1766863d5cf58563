//! `data-parallel-profile-handler`: runs the only profile; the gateway sends the request to one port of the picked
//! pod, and the sidecar there passes it on to the picked rank, which a header names.

use std::sync::Arc;

use llmd_api::headers::DATA_PARALLEL_HOST_PORT;
use serde::Deserialize;

use crate::config::ConfigError;
use crate::config::build::Build;
use crate::datastore::Endpoint;
use crate::plugin::{Extension, ProfileHandler};
use crate::plugins::profile::single_profile_handler::SingleProfileHandler;
use crate::request::InferenceRequest;
use crate::scheduling::{Cycle, Schedule, ScheduleError};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Parameters {
    primary_port: u16,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { primary_port: 8000 }
    }
}

/// See the module.
#[derive(Debug)]
pub struct DataParallelProfileHandler {
    primary_port: u16,
}

impl ProfileHandler for DataParallelProfileHandler {
    fn check_profiles(&self, profiles: &[&str]) -> Result<(), String> {
        SingleProfileHandler.check_profiles(profiles)
    }

    fn schedule(&self, cycle: &mut Cycle<'_, '_>) -> Result<usize, ScheduleError> {
        SingleProfileHandler.schedule(cycle)
    }

    fn prepare(&self, _request: &InferenceRequest<'_>, schedule: &Schedule<'_>) -> Vec<(String, String)> {
        let rank = schedule.destinations().next();
        rank.map(|it| (DATA_PARALLEL_HOST_PORT.to_owned(), it.host_port.clone())).into_iter().collect()
    }

    fn destination(&self, endpoint: &Endpoint) -> String {
        let mut address = endpoint.spec.address;
        address.set_port(self.primary_port);
        address.to_string()
    }
}

pub(crate) fn build(build: &mut Build<'_, '_>) -> Result<Extension, ConfigError> {
    let Parameters { primary_port } = build.parameters()?;
    if primary_port == 0 {
        return Err(build.invalid("primaryPort", "must be between 1 and 65535"));
    }
    Ok(Extension::ProfileHandler(Arc::new(DataParallelProfileHandler { primary_port })))
}
