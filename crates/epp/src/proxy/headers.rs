//! Which headers pass the proxy, in each direction.

use std::collections::HashMap;
use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use llmd_api::headers::{REQUEST_ID, WENT_INTO_RESP_HEADERS};

use crate::control_headers;

/// Headers of one connection, not of the request (RFC 9110 §7.6.1), with the historical spellings.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A header's value when it is text and not empty.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|it| it.to_str().ok()).filter(|it| !it.is_empty())
}

/// Headers by lower-case name as the director reads them; of repeated ones the last value.
pub(super) fn as_map(headers: &HeaderMap) -> HashMap<String, String> {
    headers
        .iter()
        .map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect()
}

/// Whether the answer is a stream of server-sent events.
pub(super) fn is_event_stream(headers: &HeaderMap) -> bool {
    text(headers, header::CONTENT_TYPE.as_str()).is_some_and(|it| it.contains("text/event-stream"))
}

/// A client's headers as an endpoint gets them: without those of the connection and those that only the
/// routing layer may set, with `routed` and the trail of the client.
pub(super) fn to_endpoint(
    client: &HeaderMap,
    peer: Option<IpAddr>,
    request_id: &str,
    routed: &[(String, String)],
) -> HeaderMap {
    let mut headers = end_to_end(client);
    let dropped: Vec<HeaderName> =
        headers.keys().filter(|it| control_headers::is_dropped(it.as_str())).cloned().collect();
    for name in dropped {
        headers.remove(name);
    }
    // The body was read whole: its length is known anew and nobody waits for a 100.
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::EXPECT);
    if let Some(peer) = peer {
        let trail = match text(&headers, FORWARDED_FOR.as_str()) {
            Some(trail) => format!("{trail}, {peer}"),
            None => peer.to_string(),
        };
        set(&mut headers, FORWARDED_FOR.as_str(), &trail);
    }
    set(&mut headers, REQUEST_ID, request_id);
    for (name, value) in routed {
        set(&mut headers, name, value);
    }
    headers
}

/// An endpoint's headers as the client gets them.
pub(super) fn to_client(endpoint: &HeaderMap) -> HeaderMap {
    end_to_end(endpoint)
}

/// Adds the request id, unless the endpoint sent one, and the mark that the picker saw this answer.
pub(super) fn mark_response(headers: &mut HeaderMap, request_id: &str) {
    if !headers.contains_key(REQUEST_ID) {
        set(headers, REQUEST_ID, request_id);
    }
    set(headers, WENT_INTO_RESP_HEADERS, "true");
}

/// All headers but the connection's own, which include those that `Connection` names.
fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let named: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|it| it.to_str().ok())
        .flat_map(|it| it.split(','))
        .map(|it| it.trim().to_ascii_lowercase())
        .collect();
    let passes = |name: &str| !HOP_BY_HOP.contains(&name) && !named.iter().any(|it| it == name);
    let passing = headers.iter().filter(|(name, _)| passes(name.as_str()));
    let mut kept = HeaderMap::with_capacity(headers.len());
    for (name, value) in passing {
        kept.append(name, value.clone());
    }
    kept
}

/// Sets a header of ours; one that HTTP cannot carry is left out and logged.
fn set(headers: &mut HeaderMap, name: &str, value: &str) {
    match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
        (Ok(name), Ok(value)) => {
            headers.insert(name, value);
        }
        _ => tracing::error!(name, value, "not a header"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .fold(HeaderMap::new(), |mut headers, (name, value)| {
                headers.append(name, value);
                headers
            })
    }

    fn sent(client: &[(&'static str, &'static str)], routed: &[(String, String)]) -> Vec<(String, String)> {
        let headers = to_endpoint(&map(client), Some([192, 0, 2, 7].into()), "id-1", routed);
        let mut pairs: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        pairs.sort();
        pairs
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn routing_headers_of_a_client_are_replaced_or_dropped() {
        let client = [
            ("x-gateway-destination-endpoint", "10.0.0.1:22"),
            ("x-prefiller-host-port", "10.0.0.1:22"),
            ("x-data-parallel-host-port", "10.0.0.1:22"),
            ("x-llm-d-inference-objective", "gold"),
            ("authorization", "Bearer x"),
        ];
        let routed = [("x-prefiller-host-port".to_owned(), "10.1.1.1:8000".to_owned())];
        assert_eq!(
            sent(&client, &routed),
            pairs(&[
                ("authorization", "Bearer x"),
                ("x-forwarded-for", "192.0.2.7"),
                ("x-prefiller-host-port", "10.1.1.1:8000"),
                ("x-request-id", "id-1"),
            ])
        );
    }

    #[test]
    fn connection_headers_end_here_and_the_trail_grows() {
        let client = [
            ("connection", "keep-alive, X-Private"),
            ("x-private", "1"),
            ("keep-alive", "5"),
            ("transfer-encoding", "chunked"),
            ("te", "trailers"),
            ("upgrade", "websocket"),
            ("expect", "100-continue"),
            ("content-length", "5"),
            ("x-forwarded-for", "198.51.100.1"),
            ("accept", "a"),
            ("accept", "b"),
        ];
        assert_eq!(
            sent(&client, &[]),
            pairs(&[
                ("accept", "a"),
                ("accept", "b"),
                ("x-forwarded-for", "198.51.100.1, 192.0.2.7"),
                ("x-request-id", "id-1"),
            ])
        );
    }

    #[test]
    fn a_response_keeps_the_endpoints_request_id() {
        let mut headers = to_client(&map(&[("x-request-id", "theirs"), ("connection", "close")]));
        mark_response(&mut headers, "ours");
        assert_eq!(headers, map(&[("x-request-id", "theirs"), ("x-went-into-resp-headers", "true")]));
    }
}
