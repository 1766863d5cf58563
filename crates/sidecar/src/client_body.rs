//! Takes a client's own `kv_transfer_params` out of a request body.
//!
//! Whoever chooses that object chooses which peer the decode engine opens connections to and whose cache it
//! reads, so only a prefill engine's answer may fill it. The engines accept the object at the top level and in
//! two maps of extra arguments; all three places are cleaned.
//!
//! Guarantees: a body that cannot carry the object is passed on untouched, valid JSON or not; a body that might
//! carry it in a form this scan cannot read is refused.

use bytes::Bytes;
use memchr::memmem;

use crate::json::{Edit, Object, edit_nested};

/// The member that only a prefill engine may fill.
pub const KV_TRANSFER_PARAMS: &str = "kv_transfer_params";

/// Maps of extra arguments that engines read the object from too.
const NESTED: [&[&str]; 2] = [&["sampling_params", "extra_args"], &["vllm_xargs"]];

/// The body without the client's `kv_transfer_params`.
///
/// # Errors
/// When the body may name the object but is not a JSON object.
pub fn without_kv_transfer_params(body: Bytes) -> Result<Bytes, serde_json::Error> {
    if !may_name_it(&body) {
        return Ok(body);
    }
    let object = Object::parse(&body)?;
    let nested: Vec<(&str, String)> = NESTED
        .iter()
        .filter_map(|path| {
            let (key, rest) = path.split_first()?;
            Some((*key, edit_nested(object.get(key)?, rest, &remove)?))
        })
        .collect();
    if nested.is_empty() && !object.has(KV_TRANSFER_PARAMS) {
        return Ok(body);
    }
    let mut edits = vec![Edit::Remove(KV_TRANSFER_PARAMS)];
    edits.extend(nested.iter().map(|(key, json)| Edit::Set(key, json)));
    Ok(object.edited(&edits).into())
}

/// A cheap look at the bytes: the name itself, an escape that could spell it, or a zero byte, which UTF-8 JSON
/// never has but every key in UTF-16 does (some engines decode that).
fn may_name_it(body: &[u8]) -> bool {
    memmem::find(body, KV_TRANSFER_PARAMS.as_bytes()).is_some()
        || memmem::find(body, br"\u").is_some()
        || memchr::memchr(0, body).is_some()
}

fn remove(object: &Object<'_>) -> Option<Vec<u8>> {
    object.has(KV_TRANSFER_PARAMS).then(|| object.edited(&[Edit::Remove(KV_TRANSFER_PARAMS)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &'static str, expected: &str) {
        let cleaned = without_kv_transfer_params(Bytes::from_static(body.as_bytes())).unwrap();
        assert_eq!(std::str::from_utf8(&cleaned).unwrap(), expected);
    }

    #[test]
    fn removes_the_object_wherever_an_engine_reads_it() {
        check(r#"{"a": 1.0, "kv_transfer_params": {"remote_host":"evil"}, "b":2}"#, r#"{"a": 1.0, "b":2}"#);
        check(r#"{"kv_transfer\u005fparams":{},"a":1}"#, r#"{"a":1}"#);
        check(
            r#"{"sampling_params":{"n":1,"extra_args":{"kv_transfer_params":{},"x":1}}}"#,
            r#"{"sampling_params":{"n":1,"extra_args":{"x":1}}}"#,
        );
        check(r#"{"vllm_xargs":{"kv_transfer_params":{}}}"#, r#"{"vllm_xargs":{}}"#);
    }

    #[test]
    fn leaves_every_other_body_alone() {
        for body in [
            r#"{"prompt":"the word kv_transfer_params in a prompt"}"#,
            r#"{"prompt":"caf\u00e9"}"#,
            "not json",
            "",
            "[1,2",
        ] {
            check(body, body);
        }
    }

    #[test]
    fn refuses_a_body_it_cannot_read_that_may_hold_the_object() {
        let utf16: Vec<u8> =
            r#"{"kv_transfer_params":1}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(without_kv_transfer_params(utf16.into()).is_err());
        assert!(
            without_kv_transfer_params(Bytes::from_static(br#"{"x":NaN,"kv_transfer_params":{}}"#)).is_err()
        );
    }
}
