use proptest::prelude::*;

use super::*;

const EVENTS: &str = "data: {\"id\":1,\"choices\":[{\"text\":\"usage\"}]}\r\n\r\n\
    : a comment with \"usage\"\n\
    data:{\"n\":12345678901234567890,\"usage\":{\"prompt_tokens\":5}}\n\n\
    data: {\"usage\":null}\n\ndata: {\"usage\":{ \"prompt_tokens_details\": {\"cached_tokens\":9, \"x\":1} }}\r\n\r\n\
    event: \"usage\"\ndata: \"usage\" is no object\n\ndata: [DONE]\n\ndata: {\"usage\":{}}";

const REWRITTEN: &str = "data: {\"id\":1,\"choices\":[{\"text\":\"usage\"}]}\r\n\r\n\
    : a comment with \"usage\"\n\
    data:{\"n\":12345678901234567890,\"usage\":{\"prompt_tokens\":5,\"prompt_tokens_details\":{\"cached_tokens\":3}}}\n\n\
    data: {\"usage\":null}\n\ndata: {\"usage\":{ \"prompt_tokens_details\": {\"cached_tokens\":3, \"x\":1} }}\r\n\r\n\
    event: \"usage\"\ndata: \"usage\" is no object\n\ndata: [DONE]\n\ndata: {\"usage\":{\"prompt_tokens_details\":{\"cached_tokens\":3}}}";

fn rewrite<'a>(content_type: &str, chunks: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut rewriter = Rewriter::for_content_type(content_type, 3).unwrap();
    let mut out = Vec::new();
    for chunk in chunks {
        out.extend_from_slice(&rewriter.push(Bytes::copy_from_slice(chunk)));
    }
    out.extend_from_slice(&rewriter.finish());
    String::from_utf8(out).unwrap()
}

#[test]
fn rewrites_the_usage_lines_of_a_stream() {
    assert_eq!(rewrite("text/event-stream; charset=utf-8", [EVENTS.as_bytes()]), REWRITTEN);
}

proptest! {
    #[test]
    fn cuts_make_no_difference(mut cuts in prop::collection::vec(0..EVENTS.len(), 0..12)) {
        cuts.extend([0, EVENTS.len()]);
        cuts.sort_unstable();
        let chunks = cuts.windows(2).map(|it| &EVENTS.as_bytes()[it[0]..it[1]]);
        prop_assert_eq!(rewrite("text/event-stream", chunks), REWRITTEN);
    }
}

#[test]
fn byte_by_byte_is_the_same_too() {
    assert_eq!(rewrite("text/event-stream", EVENTS.as_bytes().chunks(1)), REWRITTEN);
}

#[test]
fn whole_lines_pass_at_once_and_uncopied() {
    let mut rewriter = Rewriter::for_content_type("text/event-stream", 3).unwrap();
    let chunk = Bytes::from_static(b"data: {\"a\":1}\n\n");
    let out = rewriter.push(chunk.clone());
    assert_eq!(out.as_ptr(), chunk.as_ptr());
    assert_eq!(out, chunk);
}

#[test]
fn an_endless_line_is_not_held() {
    let line = [b"data: {\"usage\":{},\"x\":\"".as_slice(), &vec![b'x'; 3 << 20], b"\"}\n"].concat();
    let text = [line.as_slice(), b"data: {\"usage\":{}}\n"].concat();
    let mut rewriter = EventRewriter::new(3);
    let mut out = Vec::new();
    for chunk in text.chunks(100_000) {
        out.extend_from_slice(&rewriter.push(Bytes::copy_from_slice(chunk)));
        assert!(rewriter.held.len() <= MAX_LINE_BYTES);
    }
    out.extend_from_slice(&rewriter.finish());
    let (first, second) = out.split_at(line.len());
    assert_eq!(first, line);
    assert_eq!(second, b"data: {\"usage\":{\"prompt_tokens_details\":{\"cached_tokens\":3}}}\n");
}

#[track_caller]
fn check_json(body: &str, expected: &str) {
    for size in [1, 7, body.len().max(1)] {
        assert_eq!(rewrite("application/json", body.as_bytes().chunks(size)), expected);
    }
}

#[test]
fn rewrites_a_json_body() {
    check_json(
        r#"{"id":"x","usage":{"prompt_tokens":5,"prompt_tokens_details":null}}"#,
        r#"{"id":"x","usage":{"prompt_tokens":5,"prompt_tokens_details":{"cached_tokens":3}}}"#,
    );
    for unchanged in ["", "{}", r#"{"usage":null}"#, r#"{"usage":[1]}"#, "[]", "{broken"] {
        check_json(unchanged, unchanged);
    }
}

#[test]
fn a_json_body_past_the_limit_goes_on_unchanged() {
    let mut rewriter = JsonRewriter::new(3);
    let chunk = Bytes::from(vec![b' '; MAX_JSON_BYTES]);
    assert!(rewriter.push(chunk).is_empty());
    assert_eq!(rewriter.push(Bytes::from_static(b"{}")).len(), MAX_JSON_BYTES + 2);
    assert_eq!(rewriter.push(Bytes::from_static(b"tail")), "tail");
    assert!(rewriter.finish().is_empty());
}

#[test]
fn other_types_are_not_rewritten() {
    assert!(Rewriter::for_content_type("text/plain", 3).is_none());
    assert!(Rewriter::for_content_type("", 3).is_none());
}
