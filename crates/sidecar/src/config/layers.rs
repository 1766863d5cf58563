//! The two layers that know every setting, and the settings with older names in them.

use super::{ConfigError, LegTls};
use crate::args::{Flags, Stage};
use crate::connector::Connector;

/// Flags over YAML.
#[derive(Debug)]
pub(super) struct Layers {
    pub(super) flags: Flags,
    pub(super) yaml: Flags,
}

/// The setting in the first layer that has it.
macro_rules! pick {
    ($layers:expr, $name:ident) => {
        $layers.flags.$name.clone().or_else(|| $layers.yaml.$name.clone())
    };
}
pub(super) use pick;

impl Layers {
    /// Each layer's new name wins over its old one; a flag wins over YAML under either name.
    pub(super) fn model_server_port(&self) -> u16 {
        let of = |layer: &Flags| layer.model_server_port.or(layer.vllm_port);
        of(&self.flags).or_else(|| of(&self.yaml)).unwrap_or(8200)
    }

    pub(super) fn connector(&self) -> Result<Connector, ConfigError> {
        let of = |layer: &Flags| {
            let new = layer.kv_connector.clone().map(|it| ("kv-connector", it));
            new.or_else(|| layer.connector.clone().map(|it| ("connector", it)))
        };
        let Some((flag, name)) = of(&self.flags).or_else(|| of(&self.yaml)) else {
            return Ok(Connector::default());
        };
        name.parse().map_err(|hint: String| ConfigError::invalid(flag, &name, hint))
    }

    /// TLS to one stage, from the lists and their older boolean forms.
    pub(super) fn leg_tls(&self, stage: Stage) -> LegTls {
        let (use_tls, skip_verify) = match stage {
            Stage::Prefiller => {
                (pick!(self, prefiller_use_tls), pick!(self, prefiller_tls_insecure_skip_verify))
            }
            Stage::Decoder => (pick!(self, decoder_use_tls), pick!(self, decoder_tls_insecure_skip_verify)),
            Stage::Encoder => (None, None),
        };
        let listed = |list: Option<Vec<Stage>>| list.is_some_and(|it| it.contains(&stage));
        let is_on = use_tls.unwrap_or(false) || listed(pick!(self, enable_tls));
        let is_unverified = skip_verify.unwrap_or(false) || listed(pick!(self, tls_insecure_skip_verify));
        match (is_on, is_unverified) {
            (false, _) => LegTls::Off,
            (true, false) => LegTls::Verified,
            (true, true) => LegTls::Unverified,
        }
    }
}
