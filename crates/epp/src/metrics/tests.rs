use llmd_common::metrics::render;

use super::*;
use crate::testing::{endpoint, store};

#[test]
fn every_series_carries_its_stability_and_its_labels() {
    let registry = Registry::new();
    let metrics = Metrics::new(&registry, "pool");
    let request = metrics.request("m", "t", "f", 0);
    request.count(100);
    request.count_error("BadRequest");
    let text = render(&registry);
    let labels = r#"fairness_id="f",model_name="m",priority="0",target_model_name="t""#;
    assert!(text.contains(&format!("llm_d_epp_request_total{{{labels}}} 1\n")), "{text}");
    assert!(
        text.contains(r#"llm_d_epp_request_error_total{error_code="BadRequest",fairness_id="f""#),
        "{text}"
    );
    assert!(
        text.contains(&format!("llm_d_epp_request_size_bytes_bucket{{{labels},le=\"128\"}} 1\n")),
        "{text}"
    );
    assert!(text.lines().filter(|it| it.starts_with("# HELP")).all(|it| it.contains(" [ALPHA] ")), "{text}");
}

#[test]
fn pool_gauges_leave_out_endpoints_that_do_not_answer() {
    let registry = Registry::new();
    let metrics = Metrics::new(&registry, "pool");
    let store = store(vec![endpoint("a").waiting(2), endpoint("b").waiting(4), endpoint("c").waiting(90)]);
    metrics.set_pool(&store.endpoints());
    store.endpoints()[2].state.set_reachable(false);
    metrics.set_pool(&store.endpoints());
    let text = render(&registry);
    assert!(text.contains("llm_d_epp_ready_endpoints{name=\"pool\"} 2\n"), "{text}");
    assert!(text.contains("llm_d_epp_average_queue_size{name=\"pool\"} 3\n"), "{text}");
    let queue =
        |name| format!("llm_d_epp_per_endpoint_queue_size{{model_server_endpoint=\"{name}\",name=\"pool\"}}");
    assert!(text.contains(&format!("{} 4\n", queue("b"))), "{text}");
    assert!(!text.contains(&queue("c")), "{text}");
}

#[test]
fn combinations_that_clients_choose_are_bounded() {
    let registry = Registry::new();
    let metrics = Metrics::new(&registry, "pool");
    for number in 0..3 * MAX_COMBINATIONS {
        let (model, fairness_id) = ((number % 97).to_string(), (number % 89).to_string());
        metrics.request(&model, &model, &fairness_id, 0).count(1);
    }
    let text = render(&registry);
    let series = text.lines().filter_map(|it| it.strip_prefix("llm_d_epp_request_total{")?.rsplit_once("} "));
    let series: Vec<(&str, u64)> = series.map(|(labels, count)| (labels, count.parse().unwrap())).collect();
    assert!((MAX_COMBINATIONS..=2 * MAX_COMBINATIONS).contains(&series.len()), "{}", series.len());
    assert!(
        series.iter().all(|(labels, _)| !labels.contains("model_name=\"other\"")),
        "few models stay apart"
    );
    let n_counted: u64 = series.iter().map(|(_, count)| count).sum();
    assert_eq!(n_counted, 3 * MAX_COMBINATIONS as u64, "every request is counted");
}
