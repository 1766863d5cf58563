//! Which headers pass the proxy, in each direction.

use std::collections::HashMap;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::Authority;
use llmd_api::headers::{REQUEST_ID, WENT_INTO_RESP_HEADERS};
use llmd_common::proxy::headers::prepare_request;

use super::Inbound;
use crate::control_headers;

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
pub(super) fn to_endpoint(client: &Inbound, routed: &[(String, String)]) -> HeaderMap {
    let mut headers = client.parts.headers.clone();
    prepare_request(&mut headers, client.parts.uri.authority().map(Authority::as_str), client.peer);
    let dropped: Vec<HeaderName> =
        headers.keys().filter(|it| control_headers::is_dropped(it.as_str())).cloned().collect();
    for name in dropped {
        headers.remove(name);
    }
    // The body was read whole: its length is known anew.
    headers.remove(header::CONTENT_LENGTH);
    set(&mut headers, REQUEST_ID, &client.request_id);
    for (name, value) in routed {
        set(&mut headers, name, value);
    }
    headers
}

/// Adds the request id, unless the endpoint sent one, and the mark that the picker saw this answer.
pub(super) fn mark_response(headers: &mut HeaderMap, request_id: &str) {
    if !headers.contains_key(REQUEST_ID) {
        set(headers, REQUEST_ID, request_id);
    }
    set(headers, WENT_INTO_RESP_HEADERS, "true");
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
        let (mut parts, ()) = http::Request::new(()).into_parts();
        parts.headers = map(client);
        let client = Inbound { parts, request_id: "id-1".to_owned(), peer: Some([192, 0, 2, 7].into()) };
        let headers = to_endpoint(&client, routed);
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
    fn what_described_the_clients_body_is_made_anew() {
        let client =
            [("expect", "100-continue"), ("content-length", "5"), ("te", "trailers"), ("accept", "a")];
        assert_eq!(
            sent(&client, &[]),
            pairs(&[("accept", "a"), ("x-forwarded-for", "192.0.2.7"), ("x-request-id", "id-1")])
        );
    }

    #[test]
    fn a_response_keeps_the_endpoints_request_id() {
        let mut headers = map(&[("x-request-id", "theirs")]);
        mark_response(&mut headers, "ours");
        assert_eq!(headers, map(&[("x-request-id", "theirs"), ("x-went-into-resp-headers", "true")]));
    }
}
