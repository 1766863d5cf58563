//! The `nixlv2` connector: the bodies of its two legs.
//!
//! Prefill gets the client's body as a request for one token whose KV blocks are to be kept; its answer names
//! the blocks in `kv_transfer_params`. Decode gets the client's body with that object, byte for byte: engines
//! add keys to it in every release, so nothing here looks inside.
//!
//! Not here: sending, retries and what happens when prefill fails (`disagg`).

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::client_body::KV_TRANSFER_PARAMS;
use crate::json::{Edit, Object};
use crate::route::Api;

#[cfg(test)]
mod tests;

/// Asks the prefill engine to keep the blocks. The null keys are part of the contract.
const KEEP_BLOCKS: &str = r#"{"do_remote_decode":true,"do_remote_prefill":false,"remote_engine_id":null,"remote_block_ids":null,"remote_host":null,"remote_port":null}"#;

/// The limit members of each API, all of which prefill gets as 1 whether the client sent them or not.
const CHAT_LIMITS: [&str; 3] = ["max_tokens", "max_completion_tokens", "min_tokens"];
const RESPONSES_LIMITS: [&str; 1] = ["max_output_tokens"];
const SAMPLING_LIMITS: [&str; 2] = ["max_tokens", "min_tokens"];
/// Where the generate API keeps its limits.
const SAMPLING_PARAMS: &str = "sampling_params";

/// The prefill leg's body: one token, not streamed, blocks kept.
#[must_use]
pub fn prefill_body(client: &Object<'_>, api: Api) -> Vec<u8> {
    let mut edits = vec![
        Edit::Set(KV_TRANSFER_PARAMS, KEEP_BLOCKS),
        Edit::Set("stream", "false"),
        Edit::Remove("stream_options"),
    ];
    let one = |key| Edit::Set(key, "1");
    let sampling_params;
    match api {
        Api::Chat => edits.extend(CHAT_LIMITS.map(one)),
        Api::Responses => edits.extend(RESPONSES_LIMITS.map(one)),
        Api::Generate => {
            sampling_params = one_token_sampling_params(client.get(SAMPLING_PARAMS));
            edits.extend(sampling_params.as_deref().map(|json| Edit::Set(SAMPLING_PARAMS, json)));
        }
    }
    client.edited(&edits)
}

/// `sampling_params` with limits of 1, made when there is none. `None` for a value that is no object: it stays
/// as it is, so that the prefill engine names the mistake.
fn one_token_sampling_params(json: Option<&str>) -> Option<String> {
    let json = json.filter(|&it| it != "null").unwrap_or("{}");
    let edited = Object::parse(json.as_bytes()).ok()?.edited(&SAMPLING_LIMITS.map(|key| Edit::Set(key, "1")));
    String::from_utf8(edited).ok()
}

/// The decode leg's body: the client's own with the object that prefill answered, `None` when it had none (the
/// decode engine then computes the prompt itself).
#[must_use]
pub fn decode_body(client: &Object<'_>, kv_transfer_params: Option<&str>) -> Vec<u8> {
    client.edited(&[Edit::Set(KV_TRANSFER_PARAMS, kv_transfer_params.unwrap_or("null"))])
}

/// What the decode leg needs from the prefill engine's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefillReply {
    /// The JSON text of `kv_transfer_params`; `None` when absent or null.
    pub kv_transfer_params: Option<String>,
    /// Prompt tokens that the prefill engine found in its own cache.
    pub cached_tokens: u64,
}

impl PrefillReply {
    /// Reads a prefill engine's 2xx answer.
    ///
    /// # Errors
    /// When the body is not a JSON object.
    pub fn parse(body: &[u8]) -> Result<Self, serde_json::Error> {
        let object = Object::parse(body)?;
        let params = object.get(KV_TRANSFER_PARAMS).filter(|&it| it != "null");
        Ok(Self {
            kv_transfer_params: params.map(str::to_owned),
            cached_tokens: object.get("usage").and_then(cached_tokens).unwrap_or(0),
        })
    }
}

/// `prompt_tokens_details.cached_tokens` of a `usage` object; `None` when any part is missing or of another kind.
fn cached_tokens(usage: &str) -> Option<u64> {
    #[derive(Deserialize)]
    struct Usage<'a> {
        #[serde(borrow)]
        prompt_tokens_details: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Details {
        cached_tokens: Option<u64>,
    }
    let usage: Usage<'_> = serde_json::from_str(usage).ok()?;
    let details: Details = serde_json::from_str(usage.prompt_tokens_details?.get()).ok()?;
    details.cached_tokens
}
