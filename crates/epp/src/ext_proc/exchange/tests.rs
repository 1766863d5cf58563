//! Sequences of messages as values: each answer is described in one line.

use super::*;
use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue};
use envoy_types::pb::envoy::service::ext_proc::v3::body_mutation::Mutation;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_response::Response;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    BodyResponse, CommonResponse, HeadersResponse, HttpTrailers,
};
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value};

const OPTIONS: Options = Options { obey_subset: true, max_request_body_bytes: 1_000_000 };
const POST: &[(&str, &str)] =
    &[(":method", "POST"), (":path", "/v1/completions?x=1"), ("x-request-id", "r1")];

fn message(request: Request) -> ProcessingRequest {
    ProcessingRequest { request: Some(request), ..ProcessingRequest::default() }
}

fn headers_of(pairs: &[(&str, &str)], end_of_stream: bool) -> HttpHeaders {
    let headers = pairs
        .iter()
        .map(|&(key, value)| HeaderValue {
            key: key.to_owned(),
            raw_value: value.as_bytes().to_vec(),
            ..HeaderValue::default()
        })
        .collect();
    HttpHeaders { headers: Some(HeaderMap { headers }), end_of_stream, ..HttpHeaders::default() }
}

fn request_headers(pairs: &[(&str, &str)], end_of_stream: bool) -> ProcessingRequest {
    message(Request::RequestHeaders(headers_of(pairs, end_of_stream)))
}

fn response_headers(pairs: &[(&str, &str)], end_of_stream: bool) -> ProcessingRequest {
    message(Request::ResponseHeaders(headers_of(pairs, end_of_stream)))
}

fn body_of(text: &str, end_of_stream: bool) -> HttpBody {
    HttpBody { body: text.as_bytes().to_vec(), end_of_stream, ..HttpBody::default() }
}

fn request_body(text: &str, end_of_stream: bool) -> ProcessingRequest {
    message(Request::RequestBody(body_of(text, end_of_stream)))
}

fn response_body(text: &str, end_of_stream: bool) -> ProcessingRequest {
    message(Request::ResponseBody(body_of(text, end_of_stream)))
}

fn request_trailers() -> ProcessingRequest {
    message(Request::RequestTrailers(HttpTrailers::default()))
}

fn response_trailers() -> ProcessingRequest {
    message(Request::ResponseTrailers(HttpTrailers::default()))
}

fn routed(body: Bytes) -> Routed {
    let prefill = ("x-prefiller-host-port".to_owned(), "10.0.0.2:8000".to_owned());
    Routed { destinations: vec!["10.0.0.1:8000".to_owned()], set_headers: vec![prefill], body }
}

/// Feeds `messages`, accepts what wants a route, and describes the answers to each message.
fn play(options: Options, messages: Vec<ProcessingRequest>) -> Vec<Vec<String>> {
    let mut exchange = Exchange::new(options);
    let answers = |message| match exchange.on_message(message) {
        Step::Send(answers) => answers,
        Step::Route { head: _, body } => exchange.accept(routed(body)),
        Step::RouteHeadersOnly(_) => exchange.accept(routed(Bytes::new())),
    };
    messages.into_iter().map(answers).map(|it| it.iter().map(describe).collect()).collect()
}

#[track_caller]
fn check(messages: Vec<ProcessingRequest>, expected: &[&[&str]]) {
    assert_eq!(play(OPTIONS, messages), expected);
}

fn describe(answer: &ProcessingResponse) -> String {
    match answer.response.as_ref().expect("an answer says something") {
        Response::RequestHeaders(it) => format!("request headers {}", describe_headers(it)),
        Response::ResponseHeaders(it) => format!("response headers {}", describe_headers(it)),
        Response::RequestBody(it) => format!("request body {}", describe_body(it)),
        Response::ResponseBody(it) => format!("response body {}", describe_body(it)),
        Response::RequestTrailers(_) => "request trailers".to_owned(),
        Response::ResponseTrailers(_) => "response trailers".to_owned(),
        Response::ImmediateResponse(it) => {
            format!("immediate {} {}", it.status.unwrap().code, str::from_utf8(&it.body).unwrap())
        }
        Response::StreamedImmediateResponse(_) => panic!("never sent"),
    }
}

fn describe_headers(answer: &HeadersResponse) -> String {
    let mutation = common(answer.response.as_ref()).header_mutation.as_ref().unwrap();
    let set = mutation.set_headers.iter().map(|it| {
        let header = it.header.as_ref().unwrap();
        assert_eq!(header.value, "", "values travel raw");
        format!("{}={}", header.key, str::from_utf8(&header.raw_value).unwrap())
    });
    set.chain(mutation.remove_headers.iter().map(|it| format!("-{it}"))).collect::<Vec<_>>().join(" ")
}

fn describe_body(answer: &BodyResponse) -> String {
    let mutation = common(answer.response.as_ref()).body_mutation.as_ref().unwrap();
    let Some(Mutation::StreamedResponse(piece)) = &mutation.mutation else { panic!("{mutation:?}") };
    let text = str::from_utf8(&piece.body).unwrap();
    let text = if text.len() > 100 { format!("<{} bytes>", text.len()) } else { format!("{text:?}") };
    if piece.end_of_stream { format!("{text} end") } else { text }
}

fn common(response: Option<&CommonResponse>) -> &CommonResponse {
    response.expect("a common response")
}

const ROUTED_5: &str = "request headers x-gateway-destination-endpoint=10.0.0.1:8000 content-length=5 \
    x-prefiller-host-port=10.0.0.2:8000";

#[test]
fn nothing_is_sent_before_the_body_is_complete() {
    check(
        vec![request_headers(POST, false), request_body("he", false), request_body("llo", true)],
        &[&[], &[], &[ROUTED_5, "request body \"hello\" end"]],
    );
}

#[test]
fn an_empty_body_is_one_empty_piece_without_a_length() {
    check(
        vec![request_headers(POST, false), request_body("", true)],
        &[
            &[],
            &[
                "request headers x-gateway-destination-endpoint=10.0.0.1:8000 \
                 x-prefiller-host-port=10.0.0.2:8000",
                "request body \"\" end",
            ],
        ],
    );
}

#[test]
fn a_request_without_a_body_is_answered_at_once() {
    check(
        vec![request_headers(POST, true)],
        &[&[
            "request headers x-gateway-destination-endpoint=10.0.0.1:8000 x-prefiller-host-port=10.0.0.2:8000",
        ]],
    );
}

#[test]
fn trailers_end_the_body_too() {
    check(
        vec![request_headers(POST, false), request_body("hello", false), request_trailers()],
        &[&[], &[], &[ROUTED_5, "request body \"hello\"", "request trailers"]],
    );
}

#[test]
fn a_second_end_changes_nothing() {
    check(
        vec![
            request_headers(POST, false),
            request_body("hello", true),
            request_body("again", true),
            request_trailers(),
            request_headers(POST, true),
        ],
        &[&[], &[ROUTED_5, "request body \"hello\" end"], &[], &[], &[]],
    );
}

#[test]
fn a_body_before_its_headers_is_ignored() {
    check(vec![request_body("hello", true)], &[&[]]);
}

#[test]
fn a_large_body_goes_in_pieces_with_one_end() {
    let body = "x".repeat(200_000);
    let pieces = play(OPTIONS, vec![request_headers(POST, false), request_body(&body, true)]);
    let (end, full) = ("request body <14000 bytes> end", "request body <62000 bytes>");
    assert_eq!(pieces[1][1..], [full, full, full, end]);
}

#[test]
fn a_body_of_exactly_one_piece_is_not_followed_by_an_empty_one() {
    let body = "x".repeat(124_000);
    let answers = play(OPTIONS, vec![request_headers(POST, false), request_body(&body, true)]);
    assert_eq!(answers[1][1..], ["request body <62000 bytes>", "request body <62000 bytes> end"]);
}

#[test]
fn a_body_over_the_limit_is_answered_413() {
    let options = Options { max_request_body_bytes: 4, ..OPTIONS };
    let refusal =
        "immediate 413 inference error: RequestEntityTooLarge - request body is larger than 4 bytes";
    let late = play(
        options,
        vec![request_headers(POST, false), request_body("he", false), request_body("llo", true)],
    );
    assert_eq!(late, [vec![], vec![], vec![refusal.to_owned()]]);
    let announced = [POST, &[("content-length", "5")]].concat();
    let early = play(options, vec![request_headers(&announced, false), request_body("hello", true)]);
    assert_eq!(early, [vec![refusal.to_owned()], vec![]]);
}

#[test]
fn control_headers_of_a_client_are_removed_unless_replaced() {
    let client = [
        ("x-request-id", "r1"),
        ("x-gateway-destination-endpoint", "10.9.9.9:22"),
        ("x-prefiller-host-port", "10.9.9.9:22"),
        ("X-Encoder-Hosts-Ports", "10.9.9.9:22"),
        ("x-llm-d-inference-objective", "gold"),
    ];
    check(
        vec![request_headers(&client, true)],
        &[&["request headers x-gateway-destination-endpoint=10.0.0.1:8000 \
            x-prefiller-host-port=10.0.0.2:8000 -x-encoder-hosts-ports -x-llm-d-inference-objective"]],
    );
}

#[test]
fn a_missing_request_id_is_made_and_sent() {
    let mut exchange = Exchange::new(OPTIONS);
    let Step::RouteHeadersOnly(head) = exchange.on_message(request_headers(&[(":path", "/v1/models")], true))
    else {
        panic!("not routed");
    };
    assert_eq!(uuid::Uuid::parse_str(&head.request_id).unwrap().get_version_num(), 4);
    let answer = describe(&exchange.accept(routed(Bytes::new()))[0]);
    assert!(answer.contains(&format!("x-request-id={}", head.request_id)), "{answer}");
}

#[test]
fn the_destination_is_also_metadata_of_the_load_balancer() {
    let mut exchange = Exchange::new(OPTIONS);
    exchange.on_message(request_headers(POST, true));
    let answer = exchange.accept(routed(Bytes::new())).remove(0);
    let Some(Response::RequestHeaders(headers)) = &answer.response else { panic!("{answer:?}") };
    assert!(common(headers.response.as_ref()).clear_route_cache);
    let metadata = answer.dynamic_metadata.unwrap();
    let Some(Kind::StructValue(namespace)) = &metadata.fields["envoy.lb"].kind else {
        panic!("{metadata:?}")
    };
    let expected = Kind::StringValue("10.0.0.1:8000".to_owned());
    assert_eq!(namespace.fields["x-gateway-destination-endpoint"].kind, Some(expected));
}

fn with_subset(mut message: ProcessingRequest, value: Kind) -> ProcessingRequest {
    let value = Value { kind: Some(value) };
    let namespace = Struct { fields: [("x-gateway-destination-endpoint-subset".to_owned(), value)].into() };
    let filter_metadata = [("envoy.lb.subset_hint".to_owned(), namespace)].into();
    message.metadata_context = Some(Metadata { filter_metadata, ..Metadata::default() });
    message
}

fn list(endpoints: &[&str]) -> Kind {
    let text = |it: &&str| Value { kind: Some(Kind::StringValue((*it).to_owned())) };
    Kind::ListValue(ListValue { values: endpoints.iter().map(text).collect() })
}

#[test]
fn the_gateways_subset_reaches_the_director() {
    #[track_caller]
    fn check(options: Options, hint: Kind, expected: Option<&[&str]>) {
        let mut exchange = Exchange::new(options);
        exchange.on_message(request_headers(POST, false));
        let Step::Route { head, body } = exchange.on_message(with_subset(request_body("{}", true), hint))
        else {
            panic!("not routed");
        };
        assert_eq!(
            head.subset.as_deref(),
            expected.map(|it| it.iter().map(|&it| it.to_owned()).collect::<Vec<_>>()).as_deref()
        );
        assert_eq!(
            (head.path.as_str(), head.request_id.as_str(), &body[..]),
            ("/v1/completions", "r1", &b"{}"[..])
        );
    }
    check(OPTIONS, list(&["10.0.0.1:8000", "10.0.0.2:8000"]), Some(&["10.0.0.1:8000", "10.0.0.2:8000"]));
    check(OPTIONS, list(&[]), Some(&[]));
    check(
        OPTIONS,
        Kind::StringValue("10.0.0.1:8000, 10.0.0.2:8000".to_owned()),
        Some(&["10.0.0.1:8000", "10.0.0.2:8000"]),
    );
    check(OPTIONS, Kind::BoolValue(true), None);
    check(Options { obey_subset: false, ..OPTIONS }, list(&["10.0.0.1:8000"]), None);
}

#[test]
fn a_rejection_ends_the_exchange() {
    let mut exchange = Exchange::new(OPTIONS);
    exchange.on_message(request_headers(POST, false));
    exchange.on_message(request_body("{", true));
    let rejection = Rejection {
        status: 503,
        message: "ServiceUnavailable - failed to find endpoint candidates".to_owned(),
        reason: Some("rejected-no-endpoints"),
    };
    let answers = exchange.on_routed(Err(rejection));
    let [answer] = answers.as_slice() else { panic!("{answers:?}") };
    assert_eq!(
        describe(answer),
        "immediate 503 inference error: ServiceUnavailable - failed to find endpoint candidates"
    );
    let Some(Response::ImmediateResponse(immediate)) = &answer.response else { panic!("{answer:?}") };
    let headers = &immediate.headers.as_ref().unwrap().set_headers;
    let reason = headers
        .iter()
        .filter_map(|it| it.header.as_ref())
        .find(|it| it.key == "x-llm-d-request-dropped-reason");
    assert_eq!(reason.unwrap().raw_value, b"rejected-no-endpoints");
    assert!(
        matches!(exchange.on_message(request_body("}", true)), Step::Send(answers) if answers.is_empty())
    );
}

const MARKED: &str = "response headers x-went-into-resp-headers=true";

#[test]
fn response_chunks_are_echoed_one_by_one() {
    let sse = [(":status", "200"), ("content-type", "text/event-stream")];
    check(
        vec![
            request_headers(POST, true),
            response_headers(&sse, false),
            response_body("data: 1\n\n", false),
            response_body("", false),
            response_body("data: [DONE]\n\n", true),
            response_body("late", true),
        ],
        &[
            &[
                "request headers x-gateway-destination-endpoint=10.0.0.1:8000 x-prefiller-host-port=10.0.0.2:8000",
            ],
            &[MARKED],
            &["response body \"data: 1\\n\\n\""],
            &[],
            &["response body \"data: [DONE]\\n\\n\" end"],
            &[],
        ],
    );
}

#[test]
fn response_trailers_come_last() {
    check(
        vec![response_headers(&[(":status", "200")], false), response_body("a", false), response_trailers()],
        &[&[MARKED], &["response body \"a\""], &["response trailers"]],
    );
}

#[test]
fn a_response_without_a_body_ends_with_its_headers() {
    check(vec![response_headers(&[(":status", "204")], true), response_body("", true)], &[&[MARKED], &[]]);
}

#[test]
fn a_large_response_body_goes_in_pieces() {
    let answers = play(OPTIONS, vec![response_body(&"x".repeat(70_000), true)]);
    assert_eq!(answers, [["response body <62000 bytes>", "response body <8000 bytes> end"]]);
}

#[test]
fn status_and_event_streams_are_recognised() {
    let response = |pairs: &[(&str, &str)]| head::response(&headers_of(pairs, false));
    assert_eq!(
        response(&[(":status", "200"), ("Content-Type", "text/event-stream; charset=utf-8")]),
        (200, true)
    );
    assert_eq!(response(&[("content-type", "application/json"), (":status", "503")]), (503, false));
    assert_eq!(response(&[]), (0, false));
}
