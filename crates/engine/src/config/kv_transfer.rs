//! `--kv-transfer-config`: vLLM's JSON, of which the NIXL connector's part has a meaning here.

use std::net::IpAddr;

use serde::Deserialize;

use super::ConfigError;

const FLAG: &str = "--kv-transfer-config";

/// Transfer of KV blocks between engines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvTransferConfig {
    /// What this engine does.
    pub role: KvRole,
    /// Name in handshakes; `None` takes a random one.
    pub engine_id: Option<String>,
    /// Address to listen on, also told to peers.
    pub host: String,
    /// Port to listen on; 0 takes a free one.
    pub port: u16,
}

impl KvTransferConfig {
    /// What rank `rank` of `size` data-parallel ranks has of its own, as vLLM's NIXL connector: the port counted up by
    /// the rank, unless any free one will do, and a name that says the rank.
    ///
    /// # Errors
    /// When there is no such port.
    pub fn of_rank(&self, rank: u32, size: u32) -> Result<Self, ConfigError> {
        let port = match self.port {
            0 => 0,
            port => u16::try_from(u32::from(port).saturating_add(rank)).map_err(|_| ConfigError::Value {
                flag: "VLLM_NIXL_SIDE_CHANNEL_PORT",
                problem: format!("rank {rank} would listen on {port} + {rank}, which is no port"),
            })?,
        };
        let name = |id: String| if size > 1 { format!("{id}_dp{rank}") } else { id };
        Ok(Self {
            role: self.role,
            engine_id: self.engine_id.clone().map(name),
            host: self.host.clone(),
            port,
        })
    }
}

/// Which end of a transfer an engine may be. Informative: requests decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum KvRole {
    /// Prefill.
    #[serde(rename = "kv_producer")]
    Producer,
    /// Decode.
    #[serde(rename = "kv_consumer")]
    Consumer,
    /// Either.
    #[serde(rename = "kv_both")]
    Both,
}

#[derive(Deserialize)]
struct Json {
    kv_connector: Option<String>,
    kv_role: Option<KvRole>,
    engine_id: Option<String>,
}

/// Reads the flag's JSON. Keys of other connectors are ignored.
pub(super) fn parse(json: &str, host: String, port: u16) -> Result<KvTransferConfig, ConfigError> {
    let Json { kv_connector, kv_role, engine_id } = serde_json::from_str(json).map_err(|error| {
        ConfigError::Value { flag: FLAG, problem: format!("not valid JSON of the right shape: {error}") }
    })?;
    match kv_connector.as_deref() {
        Some("NixlConnector") => {}
        Some(other) => {
            return Err(ConfigError::Unsupported {
                flag: FLAG,
                what: format!("the connector {other:?}; use NixlConnector"),
            });
        }
        None => {
            return Err(ConfigError::Value {
                flag: FLAG,
                problem: "kv_connector is missing; use NixlConnector".to_owned(),
            });
        }
    }
    if host.parse().is_ok_and(|it: IpAddr| it.is_unspecified()) {
        return Err(ConfigError::Value {
            flag: "VLLM_NIXL_SIDE_CHANNEL_HOST",
            problem: format!("peers are told this address and cannot reach {host}; give this machine's own"),
        });
    }
    Ok(KvTransferConfig { role: kv_role.unwrap_or(KvRole::Both), engine_id, host, port })
}
