//! Headers between client and engines.
//!
//! Guarantees: hop-by-hop headers and the routing layer's own headers never pass; everything else, the client's
//! credentials and trace context included, passes as it came.

use std::net::IpAddr;

use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue};
use llmd_api::headers as names;
use uuid::Uuid;

/// Headers that speak of one connection only (RFC 9110, 7.6.1), with the two that older proxies use.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Removes the headers of one connection, those that `Connection` names included.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|it| it.to_str().ok())
        .flat_map(|it| it.split(','))
        .filter_map(|it| it.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP).chain([&PROXY_CONNECTION]) {
        headers.remove(name);
    }
}

/// Turns a client's headers into those of a request to an engine.
///
/// `authority` is where the client sent an HTTP/2 request, which has no `Host` header.
pub fn prepare_request(headers: &mut HeaderMap, authority: Option<&str>, peer: Option<IpAddr>) {
    remove_hop_by_hop(headers);
    // The sidecar has the body already or streams it: nobody waits for a 100.
    headers.remove(header::EXPECT);
    for name in names::ROUTING {
        headers.remove(name);
    }
    if let Some(host) = authority.filter(|_| !headers.contains_key(header::HOST))
        && let Ok(host) = HeaderValue::from_str(host)
    {
        headers.insert(header::HOST, host);
    }
    if let Some(peer) = peer {
        append_forwarded_for(headers, peer);
    }
}

fn append_forwarded_for(headers: &mut HeaderMap, peer: IpAddr) {
    let mut chain: Vec<u8> = Vec::new();
    for value in headers.get_all(&FORWARDED_FOR) {
        chain.extend_from_slice(value.as_bytes());
        chain.extend_from_slice(b", ");
    }
    chain.extend_from_slice(peer.to_string().as_bytes());
    if let Ok(value) = HeaderValue::from_bytes(&chain) {
        headers.insert(FORWARDED_FOR, value);
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

    #[track_caller]
    fn check(sent: &[(&'static str, &'static str)], expected: &[(&str, &str)]) {
        let mut map = HeaderMap::new();
        for (name, value) in sent {
            map.append(*name, HeaderValue::from_static(value));
        }
        prepare_request(&mut map, Some("front:80"), Some("10.1.1.1".parse().unwrap()));
        let mut actual: Vec<_> =
            map.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        actual.sort_unstable();
        assert_eq!(actual, expected);
    }

    #[test]
    fn strips_hop_by_hop_and_what_connection_names() {
        check(
            &[
                ("connection", "close, X-Mine"),
                ("x-mine", "1"),
                ("te", "trailers"),
                ("upgrade", "h2c"),
                ("expect", "100-continue"),
                ("host", "a"),
            ],
            &[("host", "a"), ("x-forwarded-for", "10.1.1.1")],
        );
    }

    #[test]
    fn strips_every_routing_header() {
        let sent: Vec<_> = names::ROUTING.iter().map(|it| (*it, "spoof:1")).collect();
        check(&sent, &[("host", "front:80"), ("x-forwarded-for", "10.1.1.1")]);
    }

    #[test]
    fn keeps_the_rest_and_continues_the_forwarding_chain() {
        check(
            &[
                ("authorization", "Bearer x"),
                ("traceparent", "00-1"),
                ("x-forwarded-for", "1.1.1.1"),
                ("x-forwarded-for", "2.2.2.2"),
            ],
            &[
                ("authorization", "Bearer x"),
                ("host", "front:80"),
                ("traceparent", "00-1"),
                ("x-forwarded-for", "1.1.1.1, 2.2.2.2, 10.1.1.1"),
            ],
        );
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
