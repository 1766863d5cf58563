use super::*;

#[track_caller]
fn check(text: &str, edits: &[Edit<'_>], expected: &str) {
    let edited = Object::parse(text.as_bytes()).unwrap().edited(edits);
    assert_eq!(String::from_utf8(edited).unwrap(), expected, "{text}");
}

#[test]
fn nothing_changes_without_edits() {
    for text in
        ["{}", " { } ", "\n{ \"a\" : 1 ,\t\"b\":[ {\"x\":\"}\"} ] }\r\n", r#"{"a":1,"a":2,"\u0061":3}"#]
    {
        check(text, &[], text);
    }
}

#[test]
fn set_replaces_in_place_and_appends_what_is_missing() {
    check(
        r#"{"a":1, "b" : 2}"#,
        &[Edit::Set("a", "7"), Edit::Set("c", "null")],
        r#"{"a":7, "b" : 2,"c":null}"#,
    );
    check("{}", &[Edit::Set("a", "1"), Edit::Set("b", "2")], r#"{"a":1,"b":2}"#);
    check(" { } ", &[Edit::Set("a", "1")], r#" {"a":1 } "#);
}

#[test]
fn remove_takes_one_comma_along() {
    let text = r#"{ "a": 1, "b": 2, "c": 3 }"#;
    check(text, &[Edit::Remove("a")], r#"{ "b": 2, "c": 3 }"#);
    check(text, &[Edit::Remove("b")], r#"{ "a": 1, "c": 3 }"#);
    check(text, &[Edit::Remove("c")], r#"{ "a": 1, "b": 2 }"#);
    check(text, &[Edit::Remove("a"), Edit::Remove("b"), Edit::Remove("c")], "{ }");
    check(
        text,
        &[Edit::Remove("a"), Edit::Remove("b"), Edit::Remove("c"), Edit::Set("d", "4")],
        r#"{"d":4 }"#,
    );
    check(text, &[Edit::Remove("absent")], text);
}

#[test]
fn a_repeated_or_escaped_key_is_one_key() {
    check(r#"{"a":1,"b":2,"a":3}"#, &[Edit::Set("a", "9")], r#"{"b":2,"a":9}"#);
    check(r#"{"a":1,"b":2,"\u0061":3}"#, &[Edit::Remove("a")], r#"{"b":2}"#);
    assert_eq!(Object::parse(br#"{"a":1,"a":2}"#).unwrap().get("a"), Some("2"));
}

#[test]
fn numbers_and_order_outside_the_edit_stay() {
    check(
        r#"{"z":12345678901234567890,"y":1.10,"x":1e5,"stream":true,"a":"é\ud83d\ude00"}"#,
        &[Edit::Set("stream", "false")],
        r#"{"z":12345678901234567890,"y":1.10,"x":1e5,"stream":false,"a":"é\ud83d\ude00"}"#,
    );
}

#[test]
fn refuses_what_is_not_an_object() {
    for text in [
        &b""[..],
        b"null",
        b"[1]",
        b"\"{}\"",
        b"{",
        b"{\"a\":}",
        b"{} x",
        b"{\"a\":\"\xff\"}",
        b"{\"a\":NaN}",
    ] {
        assert!(Object::parse(text).is_err(), "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn deep_nesting_is_scanned_without_recursion() {
    let text = format!(r#"{{"a":{}{},"b":1}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(Object::parse(text.as_bytes()).unwrap().get("b"), Some("1"));
}

#[test]
fn too_many_members_are_refused() {
    let object = |n: usize| format!("{{{}}}", vec![r#""a":1"#; n].join(","));
    assert!(Object::parse(object(MAX_MEMBERS).as_bytes()).is_ok());
    let error = Object::parse(object(MAX_MEMBERS + 1).as_bytes()).unwrap_err();
    assert!(error.to_string().starts_with("more than 4096 members"), "{error}");
}

#[test]
fn nested_edits_follow_the_path() {
    let remove = |object: &Object<'_>| object.has("x").then(|| object.edited(&[Edit::Remove("x")]));
    let edited = |json: &str| edit_nested(json, &["p", "q"], &remove);
    assert_eq!(edited(r#"{"p":{"q":{"x":1,"y":2}},"r":0}"#).as_deref(), Some(r#"{"p":{"q":{"y":2}},"r":0}"#));
    assert_eq!(edited(r#"{"p":{"q":{"y":2}}}"#), None);
    assert_eq!(edited(r#"{"p":3}"#), None);
}
