//! `kv_transfer_params`: the JSON object that moves a prompt's KV cache from a prefill to a decode engine.
//!
//! The shape is the contract of vLLM's NIXL connector, so any llm-d sidecar can carry it; the keys
//! that start the native transport (`transfer_mode`, `remote_proto`, `remote_cap`, `remote_model_fp`) are
//! ours. Unknown keys are kept, because vLLM adds some in every release.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Value of `remote_proto` for version 1 of the native transport.
pub const NATIVE_PROTO: &str = "llmd-kv/1";
/// Value of `transfer_mode` that tells a foreign consumer not to try NIXL.
pub const NATIVE_MODE: &str = "native";

/// The object as it stands in a request or a response. Absent and null keys mean the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvTransferParams {
    /// Asks a producer to keep the prompt's blocks for a later pull.
    #[serde(default, deserialize_with = "null_as_false")]
    pub do_remote_decode: bool,
    /// Asks a consumer to pull the prompt's blocks instead of computing them.
    #[serde(default, deserialize_with = "null_as_false")]
    pub do_remote_prefill: bool,
    /// Engine that holds the blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_engine_id: Option<String>,
    /// Block ids on the producer, one list a KV-cache group. Older engines send one flat list; both are kept
    /// as they came, because the native transport names blocks by content instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_block_ids: Option<Value>,
    /// The producer's own id of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_request_id: Option<String>,
    /// Host of the producer's transfer listener.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_host: Option<String>,
    /// Port of the producer's transfer listener.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_port: Option<u16>,
    /// Tensor-parallel size of the producer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tp_size: Option<u32>,
    /// Prompt tokens whose KV the producer holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_num_tokens: Option<u32>,
    /// How the blocks travel: `pull`, `push` (NIXL) or [`NATIVE_MODE`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer_mode: Option<String>,
    /// Native transport version, [`NATIVE_PROTO`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_proto: Option<String>,
    /// Capability: 128 random bits in hexadecimal. Whoever holds it may read this request's blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_cap: Option<String>,
    /// Fingerprint of the producer's model and cache layout, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_model_fp: Option<String>,
    /// Every key this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

fn null_as_false<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::<bool>::deserialize(deserializer)?.unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_the_request_a_sidecar_sends_to_the_prefill_engine() {
        let json = r#"{"do_remote_decode":true,"do_remote_prefill":false,"remote_engine_id":null,
                       "remote_block_ids":null,"remote_host":null,"remote_port":null}"#;
        let params: KvTransferParams = serde_json::from_str(json).unwrap();
        assert!(params.do_remote_decode);
        assert_eq!(params, KvTransferParams { do_remote_decode: true, ..KvTransferParams::default() });
    }

    #[test]
    fn keeps_keys_it_does_not_know() {
        let json =
            r#"{"do_remote_prefill":true,"do_remote_decode":false,"remote_block_ids":[[1,2]],"pp_size":1}"#;
        let params: KvTransferParams = serde_json::from_str(json).unwrap();
        let back = serde_json::to_value(&params).unwrap();
        assert_eq!(back["pp_size"], 1);
        assert_eq!(back["remote_block_ids"], serde_json::json!([[1, 2]]));
    }
}
