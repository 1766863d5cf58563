//! Settings of features that are not built: refused when they would change what the process does.

use super::ConfigError;
use super::layers::{Layers, pick};
use crate::args::{Env, MoriioFlags};
use crate::connector::Connector;

const POOL_GROUPS: [&str; 2] = ["inference.networking.k8s.io", "inference.networking.x-k8s.io"];

pub(super) fn check(layers: &Layers, moriio: &MoriioFlags, env: &Env) -> Result<(), ConfigError> {
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
    if is_on(pick!(layers, enable_ssrf_protection)) {
        let hint = "prefill endpoints are not checked against a pool; turn it off and let only the gateway reach this port";
        return refuse("enable-ssrf-protection", hint);
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
    check_pool(layers, env)
}

/// The pool has no effect without SSRF protection, but a wrong name is found now and not when it is turned on.
fn check_pool(layers: &Layers, env: &Env) -> Result<(), ConfigError> {
    let group = pick!(layers, pool_group).unwrap_or_else(|| POOL_GROUPS[0].to_owned());
    if !POOL_GROUPS.contains(&group.as_str()) {
        return Err(ConfigError::invalid("pool-group", &group, format!("use {}", POOL_GROUPS.join(" or "))));
    }
    let pool = pick!(layers, inference_pool).or_else(|| env.inference_pool.clone()).unwrap_or_default();
    let parts: Vec<&str> = pool.split('/').collect();
    if !pool.is_empty() && (parts.len() > 2 || parts.iter().any(|it| it.is_empty())) {
        return Err(ConfigError::invalid("inference-pool", &pool, "use namespace/name or name"));
    }
    Ok(())
}
