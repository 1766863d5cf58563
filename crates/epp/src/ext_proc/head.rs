//! What Envoy's first message says about a request.

use std::collections::HashMap;

use envoy_types::pb::envoy::config::core::v3::{HeaderValue, Metadata};
use envoy_types::pb::envoy::service::ext_proc::v3::HttpHeaders;
use envoy_types::pb::google::protobuf::value::Kind;
use llmd_api::headers;

/// Metadata namespace in which a gateway names the candidates it allows.
const SUBSET_NAMESPACE: &str = "envoy.lb.subset_hint";
/// Headers that may hold the path, in order of preference; filters before ours can have rewritten `:path`.
const PATHS: [&str; 3] = [":path", "x-original-path", "x-forwarded-path"];
/// Path assumed when no header names one.
const DEFAULT_PATH: &str = "/v1/completions";

/// Headers by lower-case name; of repeated ones the last value.
pub(super) fn header_map(message: HttpHeaders) -> HashMap<String, String> {
    let headers = message.headers.map(|it| it.headers).unwrap_or_default();
    headers.into_iter().map(|it| (it.key.to_ascii_lowercase(), value(it))).collect()
}

/// The raw bytes where given, as Envoy sends them; bytes outside UTF-8 become replacement characters.
fn value(header: HeaderValue) -> String {
    if header.raw_value.is_empty() {
        header.value
    } else {
        String::from_utf8(header.raw_value)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }
}

/// The request's path without its query.
pub(super) fn path(headers: &HashMap<String, String>) -> String {
    let path = PATHS.iter().find_map(|it| headers.get(*it)).map_or(DEFAULT_PATH, String::as_str);
    path.split_once('?').map_or(path, |(path, _query)| path).to_owned()
}

/// The candidates (`ip:port`) that the gateway allows; `None` when it named none. Both a list and a text of
/// comma-separated endpoints are understood, anything else is ignored.
pub(super) fn subset(metadata: &Metadata) -> Option<Vec<String>> {
    let namespace = metadata.filter_metadata.get(SUBSET_NAMESPACE)?;
    match namespace.fields.get(headers::DESTINATION_ENDPOINT_SUBSET)?.kind.as_ref()? {
        Kind::ListValue(list) => Some(
            list.values
                .iter()
                .filter_map(|it| match &it.kind {
                    Some(Kind::StringValue(endpoint)) => Some(endpoint.trim().to_owned()),
                    _ => None,
                })
                .collect(),
        ),
        Kind::StringValue(text) => {
            Some(text.split(',').map(|it| it.trim().to_owned()).filter(|it| !it.is_empty()).collect())
        }
        Kind::NullValue(_) | Kind::NumberValue(_) | Kind::BoolValue(_) | Kind::StructValue(_) => None,
    }
}

/// Status of a response and whether its body is a stream of server-sent events.
pub(super) fn response(message: &HttpHeaders) -> (u16, bool) {
    let headers = message.headers.as_ref().map(|it| it.headers.as_slice()).unwrap_or_default();
    let find = |name: &str| {
        headers
            .iter()
            .find(|it| it.key.eq_ignore_ascii_case(name))
            .map(|it| if it.raw_value.is_empty() { it.value.as_bytes() } else { it.raw_value.as_slice() })
    };
    let status = find(":status").and_then(|it| str::from_utf8(it).ok()).and_then(|it| it.parse().ok());
    let is_event_stream =
        find("content-type").is_some_and(|it| memchr::memmem::find(it, b"text/event-stream").is_some());
    (status.unwrap_or_default(), is_event_stream)
}
