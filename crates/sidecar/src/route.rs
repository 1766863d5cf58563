//! What a request asks for, from its method, path and headers alone.
//!
//! Pure: the same rules decide for the real server and for a table test.

use http::uri::Authority;
use http::{HeaderMap, Method};
use llmd_api::headers;

#[cfg(test)]
mod tests;

/// A generation API by where its token limits stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// Chat completions, completions and messages.
    Chat,
    /// OpenAI responses.
    Responses,
    /// vLLM's token-in, token-out generate.
    Generate,
}

/// Who answers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// The sidecar itself.
    Health,
    /// The engines, possibly two of them.
    Generation(Api),
    /// The local engine, with nothing changed.
    Engine,
}

/// Decides who answers. The path is compared the way engines do, after percent-decoding, so that no spelling
/// of a generation path slips past the clean-up of its body.
#[must_use]
pub fn route(method: &Method, path: &str) -> Route {
    let decoded;
    let path = if path.contains('%') {
        decoded = percent_decoded(path);
        decoded.as_slice()
    } else {
        path.as_bytes()
    };
    match (method, path) {
        (&Method::GET | &Method::HEAD, b"/health") => Route::Health,
        (&Method::POST, b"/v1/chat/completions" | b"/v1/completions" | b"/v1/messages") => {
            Route::Generation(Api::Chat)
        }
        (&Method::POST, b"/v1/responses") => Route::Generation(Api::Responses),
        (&Method::POST, b"/inference/v1/generate") => Route::Generation(Api::Generate),
        _ => Route::Engine,
    }
}

fn percent_decoded(path: &str) -> Vec<u8> {
    let hex = |text: &[u8]| u8::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok();
    let mut rest = path.as_bytes();
    let mut decoded = Vec::with_capacity(rest.len());
    while let Some((&first, after)) = rest.split_first() {
        match after.get(..2).and_then(hex) {
            Some(byte) if first == b'%' => {
                decoded.push(byte);
                rest = &after[2..];
            }
            _ => {
                decoded.push(first);
                rest = after;
            }
        }
    }
    decoded
}

/// A prefill candidate that is no `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("header {header} has {value:?}, which is no host:port", header = headers::PREFILLER_HOST_PORT)]
pub struct MalformedEndpoint {
    /// The part of the header at fault.
    pub value: String,
}

/// Prefill endpoints in the order given: one value, a comma list, or the header repeated. An `http://` prefix is
/// tolerated. Empty means no disaggregation.
///
/// # Errors
/// When a part is not an authority, or not text.
pub fn prefill_candidates(headers: &HeaderMap) -> Result<Vec<Authority>, MalformedEndpoint> {
    let mut candidates = Vec::new();
    for value in headers.get_all(headers::PREFILLER_HOST_PORT) {
        let value = String::from_utf8_lossy(value.as_bytes());
        for part in value.split(',').map(str::trim).filter(|it| !it.is_empty()) {
            let endpoint = part.strip_prefix("http://").unwrap_or(part);
            let authority = endpoint
                .parse::<Authority>()
                .ok()
                .filter(|it| !it.host().is_empty() && !it.as_str().contains('@'));
            candidates.push(authority.ok_or_else(|| MalformedEndpoint { value: part.to_owned() })?);
        }
    }
    Ok(candidates)
}

/// The data-parallel rank that `x-data-parallel-host-port` selects, `None` without the header. Rank r is
/// `pod_ip:listen_ports[r]`; an unknown `pod_ip` is the empty text.
///
/// # Errors
/// When the header names no rank of this pod; the value is returned.
pub fn data_parallel_rank(
    headers: &HeaderMap,
    pod_ip: &str,
    listen_ports: &[u16],
) -> Result<Option<usize>, String> {
    let Some(value) = headers.get(headers::DATA_PARALLEL_HOST_PORT) else { return Ok(None) };
    let value = String::from_utf8_lossy(value.as_bytes());
    let value = value.trim();
    let is_named = |port: &u16| format!("{pod_ip}:{port}") == value;
    listen_ports.iter().position(is_named).map(Some).ok_or_else(|| value.to_owned())
}
