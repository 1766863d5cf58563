//! The transparent half: one request to the local engine, streamed both ways.

use std::net::IpAddr;

use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{Response, header};
use llmd_common::proxy::headers::prepare_response;

use crate::body::ResponseBody;
use crate::error::Error;
use crate::headers;
use crate::upstream::{Head, RequestBody, Upstream};

/// What of a client's request goes to engines besides the body.
#[must_use]
pub fn head(parts: Parts, peer: Option<IpAddr>) -> Head {
    let mut request_headers = parts.headers;
    headers::prepare_request(&mut request_headers, parts.uri.authority().map(Authority::as_str), peer);
    let path = parts.uri.path_and_query().cloned();
    Head {
        method: parts.method,
        path: path.unwrap_or_else(|| PathAndQuery::from_static("/")),
        headers: request_headers,
    }
}

/// Sends the request to the local engine and hands its answer on as it comes.
///
/// # Errors
/// [`Error::Decode`] when there is no answer.
pub async fn forward(
    engine: &Upstream,
    endpoint: &Authority,
    head: Head,
    body: RequestBody,
) -> Result<Response<ResponseBody>, Error> {
    let response = engine.send(endpoint, head, body).await.map_err(Error::Decode)?;
    let (mut parts, body) = response.into_parts();
    prepare_response(&mut parts);
    Ok(Response::from_parts(parts, ResponseBody::engine(body)))
}

/// The content type of a response whose body can be read as it is, that is without a content encoding.
#[must_use]
pub fn plain_content_type(headers: &http::HeaderMap) -> Option<&str> {
    let encoding = headers.get(header::CONTENT_ENCODING);
    let is_plain = encoding.is_none_or(|it| it.as_bytes().eq_ignore_ascii_case(b"identity"));
    headers.get(header::CONTENT_TYPE).filter(|_| is_plain)?.to_str().ok()
}
