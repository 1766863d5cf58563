//! `disagg-profile-handler`: picks a decode endpoint and, when it pays, a prefill endpoint.
//!
//! `decode-first` runs the decode profile, asks the prefill decider about the endpoint it found, and runs the
//! prefill profile if the answer is yes. `prefill-first` runs prefill whenever its profile exists. The decode
//! endpoint is the destination; its sidecar is told the prefill endpoint by a header that only the picker sets.
//! Without any prefill endpoint the request is served by the decode endpoint alone.
//!
//! Not here: an encode stage.

use std::sync::Arc;

use llmd_api::headers;
use serde::Deserialize;

use crate::config::ConfigError;
use crate::config::build::Build;
use crate::metrics::Metrics;
use crate::plugin::{Decider, Extension, ProfileHandler};
use crate::request::InferenceRequest;
use crate::scheduling::{Cycle, Schedule, ScheduleError};

const TYPE_NAME: &str = "disagg-profile-handler";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Parameters {
    stage_order: StageOrder,
    profiles: Profiles,
    deciders: Deciders,
    // The flat spelling of older releases.
    decode_profile: Option<String>,
    prefill_profile: Option<String>,
    encode_profile: Option<String>,
    decider_plugin_name: Option<String>,
    prefill_decider_plugin_name: Option<String>,
    encode_decider_plugin_name: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StageOrder {
    #[default]
    DecodeFirst,
    PrefillFirst,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Profiles {
    decode: Option<String>,
    prefill: Option<String>,
    encode: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Deciders {
    prefill: Option<String>,
    encode: Option<String>,
}

/// See the module.
#[derive(Debug)]
pub struct DisaggProfileHandler {
    name: Arc<str>,
    order: StageOrder,
    decode: String,
    prefill: String,
    encode: String,
    prefill_decider: Option<Arc<dyn Decider>>,
    metrics: Arc<Metrics>,
}

impl ProfileHandler for DisaggProfileHandler {
    fn check_profiles(&self, profiles: &[&str]) -> Result<(), String> {
        if !profiles.contains(&self.decode.as_str()) {
            return Err(format!("there is no decode profile called {:?}", self.decode));
        }
        if profiles.contains(&self.encode.as_str()) {
            return Err(format!(
                "the encode profile {:?} cannot be used: this picker has no encode stage",
                self.encode
            ));
        }
        Ok(())
    }

    fn schedule(&self, cycle: &mut Cycle<'_, '_>) -> Result<usize, ScheduleError> {
        match self.order {
            StageOrder::DecodeFirst => {
                let (decode, endpoint) = cycle.run(&self.decode).ok_or(ScheduleError::NoDecode)?;
                if self.prefill_decider.as_ref().is_some_and(|it| it.wants_stage(cycle.request, &endpoint)) {
                    cycle.run(&self.prefill);
                }
                Ok(decode)
            }
            StageOrder::PrefillFirst => {
                cycle.run(&self.prefill);
                cycle.run(&self.decode).map(|(decode, _)| decode).ok_or(ScheduleError::NoDecode)
            }
        }
    }

    fn prepare(&self, request: &InferenceRequest<'_>, schedule: &Schedule<'_>) -> Vec<(String, String)> {
        let decode = schedule.destinations().next();
        // An endpoint of both roles that was picked twice prefills for itself.
        let prefill = schedule
            .picked_by(&self.prefill)
            .filter(|&prefill| decode.is_none_or(|decode| !Arc::ptr_eq(decode, prefill)));
        let decision = if prefill.is_some() { "prefill-decode" } else { "decode-only" };
        self.metrics.count_disagg_decision(TYPE_NAME, &self.name, &request.target_model, decision);
        prefill
            .map(|it| (headers::PREFILLER_HOST_PORT.to_owned(), it.host_port.clone()))
            .into_iter()
            .collect()
    }
}

pub(crate) fn build(build: &mut Build<'_, '_>) -> Result<Extension, ConfigError> {
    let Parameters {
        stage_order,
        profiles,
        deciders,
        decode_profile,
        prefill_profile,
        encode_profile,
        decider_plugin_name,
        prefill_decider_plugin_name,
        encode_decider_plugin_name,
    } = build.parameters()?;
    if deciders.encode.or(encode_decider_plugin_name).is_some() {
        return Err(build.invalid("deciders.encode", "is not supported: this picker has no encode stage"));
    }
    let prefill_decider = deciders.prefill.or(prefill_decider_plugin_name).or(decider_plugin_name);
    if stage_order == StageOrder::PrefillFirst && prefill_decider.is_some() {
        return Err(build.invalid("deciders.prefill", "must be absent with stageOrder prefill-first"));
    }
    let name_of = |new: Option<String>, flat: Option<String>, default: &str| {
        new.or(flat).unwrap_or_else(|| default.to_owned())
    };
    Ok(Extension::ProfileHandler(Arc::new(DisaggProfileHandler {
        name: build.name(),
        order: stage_order,
        decode: name_of(profiles.decode, decode_profile, "decode"),
        prefill: name_of(profiles.prefill, prefill_profile, "prefill"),
        encode: name_of(profiles.encode, encode_profile, "encode"),
        prefill_decider: prefill_decider.map(|name| build.decider("deciders.prefill", &name)).transpose()?,
        metrics: build.metrics(),
    })))
}
