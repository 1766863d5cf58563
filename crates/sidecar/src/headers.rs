//! Headers between client and engines.
//!
//! Guarantees: hop-by-hop headers and the routing layer's own headers never pass; everything else, the client's
//! credentials and trace context included, passes as it came.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue, header};
use llmd_api::headers as names;
use llmd_common::proxy;
use uuid::Uuid;

/// Turns a client's headers into those of a request to an engine.
///
/// `authority` is where the client sent an HTTP/2 request, which has no `Host` header.
pub fn prepare_request(headers: &mut HeaderMap, authority: Option<&str>, peer: Option<IpAddr>) {
    proxy::headers::prepare_request(headers, authority, peer);
    for name in names::ROUTING {
        headers.remove(name);
    }
}

/// Makes a request id unless the client sent one.
pub fn ensure_request_id(headers: &mut HeaderMap) {
    if !headers.contains_key(names::REQUEST_ID)
        && let Ok(id) = HeaderValue::from_str(&Uuid::new_v4().to_string())
    {
        headers.insert(names::REQUEST_ID, id);
    }
}

/// Drops what described the client's body, because the engine gets another one.
pub fn forget_body(headers: &mut HeaderMap) {
    headers.remove(header::CONTENT_LENGTH);
}

/// Asks for an answer that the sidecar can read.
pub fn refuse_compression(headers: &mut HeaderMap) {
    headers.remove(header::ACCEPT_ENCODING);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strips_every_routing_header() {
        let sent = names::ROUTING.iter().map(|it| (*it, "spoof:1")).chain([("traceparent", "00-1")]);
        let mut headers: HeaderMap =
            sent.map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect();
        prepare_request(&mut headers, None, None);
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["traceparent"]);
    }

    #[test]
    fn a_request_id_is_made_once() {
        let mut headers = HeaderMap::new();
        ensure_request_id(&mut headers);
        let made = headers[names::REQUEST_ID].clone();
        ensure_request_id(&mut headers);
        assert_eq!(headers.get_all(names::REQUEST_ID).iter().collect::<Vec<_>>(), [&made]);
    }
}
