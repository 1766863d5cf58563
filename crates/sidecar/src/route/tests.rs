use super::*;

#[track_caller]
fn check(method: &Method, path: &str, expected: Route) {
    assert_eq!(route(method, path), expected, "{method} {path}");
}

#[test]
fn routes() {
    for path in ["/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/chat%2Fcompletion%73"] {
        check(&Method::POST, path, Route::Generation(Api::Chat));
        check(&Method::GET, path, Route::Engine);
    }
    check(&Method::POST, "/v1/responses", Route::Generation(Api::Responses));
    check(&Method::POST, "/inference/v1/generate", Route::Generation(Api::Generate));
    check(&Method::GET, "/health", Route::Health);
    check(&Method::HEAD, "/health", Route::Health);
    check(&Method::POST, "/health", Route::Engine);
    for path in [
        "/metrics",
        "/healthz",
        "/v1/models",
        "/v1/chat/completions/",
        "/",
        "/%",
        "/%zz",
        "/v1/completions%2",
    ] {
        check(&Method::POST, path, Route::Engine);
    }
}

fn headers(values: &[(&'static str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in values {
        map.append(*name, value.parse().unwrap());
    }
    map
}

#[track_caller]
fn check_candidates(values: &[&str], expected: &[&str]) {
    let values: Vec<_> = values.iter().map(|it| (headers::PREFILLER_HOST_PORT, *it)).collect();
    let candidates = prefill_candidates(&headers(&values)).unwrap();
    assert_eq!(candidates, expected, "{values:?}");
}

#[test]
fn prefill_candidates_from_lists_and_repeats() {
    check_candidates(&[], &[]);
    check_candidates(&["", " , "], &[]);
    check_candidates(&["10.0.0.1:8000"], &["10.0.0.1:8000"]);
    check_candidates(&[" a:1 ,http://b:2", "[::1]:3"], &["a:1", "b:2", "[::1]:3"]);
}

#[test]
fn malformed_candidates_are_named() {
    for bad in ["a:b:c", "http://", "user@host:1", "a:1/path", "a b"] {
        let error = prefill_candidates(&headers(&[(headers::PREFILLER_HOST_PORT, bad)])).unwrap_err();
        assert_eq!(error.value, bad);
    }
}

#[test]
fn data_parallel_rank_by_port() {
    let rank = |value: &str| {
        data_parallel_rank(&headers(&[(headers::DATA_PARALLEL_HOST_PORT, value)]), "10.0.0.9", &[8000, 8001])
    };
    assert_eq!(rank("10.0.0.9:8001"), Ok(Some(1)));
    assert_eq!(rank("10.0.0.9:8002"), Err("10.0.0.9:8002".to_owned()));
    assert_eq!(rank("10.0.0.8:8000"), Err("10.0.0.8:8000".to_owned()));
    assert_eq!(data_parallel_rank(&HeaderMap::new(), "", &[8000]), Ok(None));
}
