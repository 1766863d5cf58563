//! Headers that belong to one hop, and the trail that a proxy leaves.

use std::net::IpAddr;

use http::header::{self, HeaderName};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Version};

/// Headers that speak of one connection only (RFC 9110 §7.6.1), with the two that older proxies use.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Turns the head of a server's response into that of the response to the client, whose connection has a protocol
/// version of its own.
pub fn prepare_response(head: &mut Parts) {
    remove_hop_by_hop(&mut head.headers);
    head.version = Version::default();
    head.extensions.clear();
}

/// Removes the headers of one connection, those that `Connection` names included.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|it| it.to_str().ok())
        .flat_map(|it| it.split(','))
        .filter_map(|it| it.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Turns a client's headers into those of a request to the next server, whose body this proxy has or streams.
///
/// `authority` is where the client sent an HTTP/2 request, which has no `Host` header.
pub fn prepare_request(headers: &mut HeaderMap, authority: Option<&str>, peer: Option<IpAddr>) {
    remove_hop_by_hop(headers);
    // Nobody waits for a 100 any more.
    headers.remove(header::EXPECT);
    if let Some(host) = authority.filter(|_| !headers.contains_key(header::HOST))
        && let Ok(host) = HeaderValue::from_str(host)
    {
        headers.insert(header::HOST, host);
    }
    if let Some(peer) = peer {
        append_forwarded_for(headers, peer.to_canonical());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sent: &[(&'static str, &'static str)], expected: &[(&str, &str)]) {
        let mut map = HeaderMap::new();
        for (name, value) in sent {
            map.append(*name, HeaderValue::from_static(value));
        }
        prepare_request(&mut map, Some("front:80"), Some("::ffff:10.1.1.1".parse().unwrap()));
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
                ("connection", "x-other"),
                ("x-mine", "1"),
                ("x-other", "1"),
                ("keep-alive", "5"),
                ("te", "trailers"),
                ("transfer-encoding", "chunked"),
                ("upgrade", "h2c"),
                ("expect", "100-continue"),
                ("host", "a"),
            ],
            &[("host", "a"), ("x-forwarded-for", "10.1.1.1")],
        );
    }

    #[test]
    fn keeps_the_rest_and_continues_the_forwarding_chain() {
        check(
            &[
                ("authorization", "Bearer x"),
                ("accept", "a"),
                ("accept", "b"),
                ("x-forwarded-for", "1.1.1.1"),
                ("x-forwarded-for", "2.2.2.2"),
            ],
            &[
                ("accept", "a"),
                ("accept", "b"),
                ("authorization", "Bearer x"),
                ("host", "front:80"),
                ("x-forwarded-for", "1.1.1.1, 2.2.2.2, 10.1.1.1"),
            ],
        );
    }
}
