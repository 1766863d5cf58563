//! Settings of features that are not built: refused when they would change what the process does.

use super::ConfigError;
use super::layers::{Layers, pick};
use crate::args::MoriioFlags;
use crate::connector::Connector;

pub(super) fn check(layers: &Layers, moriio: &MoriioFlags) -> Result<(), ConfigError> {
    let refuse = |flag, hint: &str| Err(ConfigError::NotSupported { flag, hint: hint.to_owned() });
    let is_on = |switch: Option<bool>| switch.unwrap_or(false);
    let connector = layers.connector()?;
    if connector != Connector::NixlV2 {
        return refuse("kv-connector", &format!("{} is not built, use nixlv2", connector.name()));
    }
    if pick!(layers, ec_connector).is_some_and(|it| !it.is_empty()) {
        return refuse("ec-connector", "there is no encoder stage, leave it empty");
    }
    if is_on(pick!(layers, enable_p2p_pull)) {
        return refuse("enable-p2p-pull", "leave it off");
    }
    if pick!(layers, decode_chunk_size).unwrap_or(0) > 0 {
        return refuse("decode-chunk-size", "engines preempt long decodes themselves, leave it at 0");
    }
    if is_on(pick!(layers, tracing)) {
        return refuse("tracing", "no exporter is built, leave it off; trace headers pass through");
    }
    if is_on(moriio.moriio_write_mode) {
        return refuse("moriio-write-mode", "leave it off");
    }
    if is_on(moriio.moriio_parallel_dispatch) {
        return refuse("moriio-parallel-dispatch", "leave it off");
    }
    Ok(())
}
