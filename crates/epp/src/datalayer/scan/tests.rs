use proptest::prelude::*;

use super::*;

const PAGE: &str = r#"# HELP vllm:num_requests_waiting Waiting.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="a}b\"c"} 3.0
vllm:num_requests_waiting{engine="1",model_name="m"} 4 1700000000000
vllm:num_requests_waiting_by_reason{reason="x"} 9
other_metric 1
vllm:cache_config_info{block_size="16",num_gpu_blocks="100"} 1.0
plain 2.5e1
"#;

fn specs(texts: &[&str]) -> Vec<MetricSpec> {
    texts.iter().map(|it| MetricSpec::parse(it).unwrap().unwrap()).collect()
}

/// `number: value` of everything found when `page` comes in pieces cut at `cuts`.
fn scan(specs: &[MetricSpec], page: &[u8], cuts: &[usize]) -> Vec<(usize, String)> {
    let mut scanner = Scanner::new(specs);
    let mut found = Vec::new();
    let mut sink = |number: usize, sample: Sample<'_>| {
        found.push((number, format!("{} {:?}", sample.value, sample.label("engine"))));
    };
    let mut start = 0;
    for &cut in cuts {
        scanner.feed(&page[start..cut], &mut sink);
        start = cut;
    }
    scanner.feed(&page[start..], &mut sink);
    scanner.finish(&mut sink);
    found
}

#[test]
fn finds_every_series_of_a_family_and_nothing_like_it() {
    let found = scan(&specs(&["vllm:num_requests_waiting"]), PAGE.as_bytes(), &[]);
    assert_eq!(found, [(0, "3 Some(\"0\")".to_owned()), (0, "4 Some(\"1\")".to_owned())]);
}

#[test]
fn selects_by_label() {
    let found = scan(&specs(&["vllm:num_requests_waiting{engine=1}"]), PAGE.as_bytes(), &[]);
    assert_eq!(found, [(0, "4 Some(\"1\")".to_owned())]);
}

#[test]
fn reads_labels_past_escaped_quotes_and_braces() {
    let sample = Sample::parse(br#"{a="x\"}",b = "y" , c="z\\"} 1"#).unwrap();
    assert_eq!(sample.label("a"), Some(r#"x\"}"#));
    assert_eq!(sample.label("b"), Some("y"));
    assert_eq!(sample.label("c"), Some(r"z\\"));
    assert_eq!(sample.label("d"), None);
}

#[test]
fn stops_when_all_were_seen() {
    let specs = specs(&["vllm:num_requests_waiting"]);
    let mut scanner = Scanner::new(&specs);
    let mut n_found = 0;
    scanner.feed(PAGE.as_bytes(), &mut |_, _| n_found += 1);
    scanner.feed(b"vllm:num_requests_waiting 7\n", &mut |_, _| n_found += 1);
    assert_eq!(n_found, 2);
}

#[test]
fn skips_lines_that_are_too_long() {
    let specs = specs(&["a"]);
    let mut scanner = Scanner::new(&specs);
    let mut found = Vec::new();
    for chunk in [&b"a{x=\""[..], &[b'x'; MAX_LINE], b"\"} 1\n", b"a 2\n"] {
        scanner.feed(chunk, &mut |_, sample| found.push(sample.value));
    }
    assert_eq!(found, [2.0]);
}

#[test]
fn specs_are_checked() {
    assert_eq!(MetricSpec::parse(" "), Ok(None));
    let quoted = MetricSpec::parse(r#"a:b{x="1", y=2}"#).unwrap().unwrap();
    assert_eq!(quoted, MetricSpec::parse("a:b{x=1,y=2}").unwrap().unwrap());
    for wrong in ["a{x=1", "a b", "a{x}", "{x=1}"] {
        assert!(MetricSpec::parse(wrong).is_err(), "{wrong}");
    }
}

proptest! {
    #[test]
    fn chunk_borders_do_not_matter(cuts in prop::collection::vec(0usize..PAGE.len(), 0..8)) {
        let mut cuts = cuts;
        cuts.sort_unstable();
        let specs = specs(&["vllm:num_requests_waiting", "plain", "vllm:cache_config_info"]);
        prop_assert_eq!(scan(&specs, PAGE.as_bytes(), &cuts), scan(&specs, PAGE.as_bytes(), &[]));
    }

    #[test]
    fn no_text_makes_it_panic(page in "([a-c]\\{?[\"\\\\=,} a-c0-9]{0,12}\n?){0,20}", cut in 0usize..100) {
        let cut = cut.min(page.len());
        let specs = specs(&["a", "b{a=b}"]);
        prop_assert_eq!(scan(&specs, page.as_bytes(), &[cut]), scan(&specs, page.as_bytes(), &[]));
    }

    #[test]
    fn no_bytes_make_it_panic(page in prop::collection::vec(any::<u8>(), 0..200)) {
        scan(&specs(&["a"]), &page, &[]);
    }
}
