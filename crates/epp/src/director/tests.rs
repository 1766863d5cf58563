use llmd_common::metrics::render;
use prometheus::Registry;

use super::*;
use crate::config::EndpointPickerConfig;
use crate::testing::{EndpointBuilder, endpoint, store};

struct Fixture {
    director: Director,
    store: Arc<Datastore>,
    registry: Registry,
    policies: Arc<Policies>,
}

fn fixture(config: &str, endpoints: Vec<EndpointBuilder>) -> Fixture {
    let text = format!("apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n{config}");
    let (store, registry) = (store(endpoints), Registry::new());
    let metrics = Metrics::new(&registry, "pool");
    let graph = Graph::load(&EndpointPickerConfig::parse(&text).unwrap(), &metrics).unwrap();
    let policies = Arc::new(Policies::default());
    let director = Director::new(Arc::clone(&store), graph, Arc::clone(&policies), metrics);
    Fixture { director, store, registry, policies }
}

const PREFIX: &str = "plugins: [{type: prefix-cache-scorer}]";

const DISAGGREGATED: &str = "
plugins:
- {type: disagg-profile-handler, parameters: {deciders: {prefill: prefix-based-pd-decider}}}
- {type: prefix-based-pd-decider, parameters: {nonCachedTokens: 16}}
- {type: prefill-filter}
- {type: decode-filter}
- {type: prefix-cache-scorer}
schedulingProfiles:
- {name: prefill, plugins: [{pluginRef: prefill-filter}, {pluginRef: prefix-cache-scorer}]}
- {name: decode, plugins: [{pluginRef: decode-filter}, {pluginRef: prefix-cache-scorer}]}
";

fn completion(prompt: &str) -> (RequestHead, Bytes) {
    let head = RequestHead {
        request_id: "id".to_owned(),
        path: "/v1/completions".to_owned(),
        ..RequestHead::default()
    };
    (head, format!(r#"{{"prompt":"{prompt}", "model":"m"}}"#).into())
}

impl Fixture {
    fn route(&self, head: RequestHead, body: Bytes) -> Result<(Routed, RequestTracker), Rejection> {
        self.director.route(head, body)
    }

    fn complete(&self, prompt: &str) -> Routed {
        let (head, body) = completion(prompt);
        self.route(head, body).unwrap().0
    }

    #[track_caller]
    fn check_rejection(
        &self,
        head: RequestHead,
        body: &str,
        status: u16,
        message: &str,
        reason: Option<&str>,
    ) {
        let rejection = self.route(head, Bytes::copy_from_slice(body.as_bytes())).unwrap_err();
        assert_eq!((rejection.status, &*rejection.message, rejection.reason), (status, message, reason));
    }

    #[track_caller]
    fn check_metric(&self, line: &str) {
        let text = render(&self.registry);
        assert!(text.lines().any(|it| it == line), "{line} is not in\n{text}");
    }
}

const LABELS: &str = r#"fairness_id="",model_name="m",priority="0",target_model_name="m""#;

#[test]
fn the_body_is_forwarded_byte_for_byte() {
    let fixture = fixture(PREFIX, vec![endpoint("a")]);
    let (head, body) = completion("hello");
    let (routed, _tracker) = fixture.route(head, body.clone()).unwrap();
    assert_eq!(routed.body.as_ptr(), body.as_ptr());
    assert_eq!(routed.destinations, [fixture.store.endpoints()[0].host_port.clone()]);
    assert_eq!(routed.set_headers, []);
}

#[test]
fn equal_prefixes_go_to_the_same_endpoint() {
    let fixture = fixture(PREFIX, (0..8).map(|i| endpoint(&format!("e{i}"))).collect());
    let prefix = "the same long system prompt ".repeat(20);
    let first = fixture.complete(&prefix).destinations;
    for number in 0..20 {
        assert_eq!(fixture.complete(&format!("{prefix}{number}")).destinations, first);
    }
    let others: std::collections::HashSet<_> =
        (0..50).map(|it| fixture.complete(&format!("{it} another")).destinations).collect();
    assert!(others.len() > 3, "prompts without a known prefix are spread: {others:?}");
}

#[test]
fn disaggregation_follows_the_cache_of_the_decode_endpoint() {
    let fixture = fixture(DISAGGREGATED, vec![endpoint("p").role("prefill"), endpoint("d").role("decode")]);
    let prefill = fixture.store.endpoints()[0].host_port.clone();
    let prompt = "x".repeat(640);
    let first = fixture.complete(&prompt);
    assert_eq!(first.set_headers, [("x-prefiller-host-port".to_owned(), prefill.clone())]);
    assert_eq!(fixture.complete(&prompt).set_headers, [], "the decode endpoint holds the prompt by now");
    let longer = fixture.complete(&format!("{prompt}{}", "y".repeat(64)));
    assert_eq!(longer.set_headers, [("x-prefiller-host-port".to_owned(), prefill)]);
    fixture.check_metric(
        "llm_d_epp_disagg_decision_total{decision_type=\"prefill-decode\",model_name=\"m\",\
         plugin_name=\"disagg-profile-handler\",plugin_type=\"disagg-profile-handler\"} 2",
    );
}

#[test]
fn an_endpoint_of_both_roles_prefills_for_itself() {
    let fixture = fixture(DISAGGREGATED, vec![endpoint("b").role("both")]);
    assert_eq!(fixture.complete(&"x".repeat(640)).set_headers, []);
    fixture.check_metric(
        "llm_d_epp_disagg_decision_total{decision_type=\"decode-only\",model_name=\"m\",\
         plugin_name=\"disagg-profile-handler\",plugin_type=\"disagg-profile-handler\"} 1",
    );
}

#[test]
fn a_dead_prefill_endpoint_is_left_out() {
    let fixture = fixture(DISAGGREGATED, vec![endpoint("p").role("prefill"), endpoint("d").role("decode")]);
    fixture.store.endpoints()[0].state.set_reachable(false);
    assert_eq!(fixture.complete(&"x".repeat(640)).set_headers, []);
}

#[test]
fn requests_that_mean_nothing_are_refused() {
    let fixture = fixture(PREFIX, vec![endpoint("a")]);
    let chat = RequestHead { path: "/v1/chat/completions".to_owned(), ..RequestHead::default() };
    let no_model = "BadRequest - model not found in request body";
    fixture.check_rejection(chat.clone(), r#"{"messages":[{"content":"x"}]}"#, 400, no_model, None);
    let no_messages = "BadRequest - invalid chat completions request: must have valid messages field";
    fixture.check_rejection(chat.clone(), r#"{"model":"m"}"#, 400, no_messages, None);
    let rejection = fixture.route(chat, Bytes::from_static(b"{\"model\":")).unwrap_err();
    assert!(
        rejection.message.starts_with("BadRequest - error unmarshaling request bodyMap: "),
        "{rejection:?}"
    );
    fixture.check_metric(
        "llm_d_epp_request_error_total{error_code=\"BadRequest\",fairness_id=\"\",model_name=\"\",\
         priority=\"0\",target_model_name=\"\"} 3",
    );
}

#[test]
fn requests_without_an_endpoint_are_refused() {
    let none = "ServiceUnavailable - failed to find endpoint candidates for serving the request";
    let reason = Some("rejected-no-endpoints");
    let (head, _) = completion("");
    let body = r#"{"model":"m","prompt":"p"}"#;
    fixture(PREFIX, vec![]).check_rejection(head.clone(), body, 503, none, reason);
    let one = fixture(PREFIX, vec![endpoint("a")]);
    one.check_rejection(RequestHead { subset: Some(vec![]), ..head.clone() }, body, 503, none, reason);
    let excluded = vec![one.store.endpoints()[0].host_port.clone()];
    one.check_rejection(RequestHead { excluded, ..head.clone() }, body, 503, none, reason);
    fixture("plugins: [{type: prefill-filter}]", vec![endpoint("a")]).check_rejection(
        head.clone(),
        body,
        429,
        "ResourceExhausted - no endpoints available for the given request",
        Some("rejected-saturated"),
    );
    fixture(DISAGGREGATED, vec![endpoint("p").role("prefill")]).check_rejection(
        head,
        body,
        429,
        "ResourceExhausted - failed to find target endpoint: failed to find available decode workers",
        None,
    );
}

#[test]
fn requests_without_a_body_take_any_endpoint() {
    let fixture = fixture("plugins: [{type: prefill-filter}]", vec![endpoint("a").role("decode")]);
    let head = RequestHead { path: "/v1/models".to_owned(), ..RequestHead::default() };
    let (routed, tracker) = fixture.director.route_headers_only(&head).unwrap();
    assert_eq!(routed.destinations.len(), 1);
    assert_eq!(fixture.store.endpoints()[0].state.in_flight(), 1);
    drop(tracker);
    assert_eq!(fixture.store.endpoints()[0].state.in_flight(), 0);
    fixture.store.replace(vec![]);
    let rejection = fixture.director.route_headers_only(&head).unwrap_err();
    assert_eq!((rejection.status, &*rejection.message), (500, "Internal - no pods available in datastore"));
}

#[test]
fn the_model_is_rewritten_out_and_back() {
    let fixture = fixture(PREFIX, vec![endpoint("a")]);
    let (mut head, body) = completion("say \\\"model\\\":\\\"m\\\"");
    head.headers.insert("x-llm-d-model-name-rewrite".to_owned(), "other".to_owned());
    let (routed, mut tracker) = fixture.route(head, body.clone()).unwrap();
    let expected = String::from_utf8(body.to_vec()).unwrap().replace(r#""model":"m""#, r#""model":"other""#);
    assert_eq!(routed.body, expected);
    assert!(tracker.rewrites_response());
    let response = Bytes::from_static(br#"{"model":"other","choices":[]}"#);
    assert_eq!(tracker.response_chunk(response, true), r#"{"model":"m","choices":[]}"#);
}

#[test]
fn a_response_is_measured_to_its_end() {
    let fixture = fixture(DISAGGREGATED, vec![endpoint("p").role("prefill"), endpoint("d").role("decode")]);
    let (head, body) = completion(&"x".repeat(640));
    let (_, mut tracker) = fixture.route(head, body).unwrap();
    let in_flight = || fixture.store.endpoints().iter().map(|it| it.state.in_flight()).collect::<Vec<_>>();
    assert_eq!(in_flight(), [1, 1]);
    fixture.check_metric(&format!("llm_d_epp_request_running{{{LABELS}}} 1"));
    tracker.response_headers(200, true);
    let chunk = Bytes::from_static(b"data: {\"usage\":{\"prompt_tokens\":5,\"comp");
    assert_eq!(tracker.response_chunk(chunk.clone(), false).as_ptr(), chunk.as_ptr());
    assert_eq!(in_flight(), [0, 1], "prefill is over when decode answers");
    let _ = tracker.response_chunk(Bytes::from_static(b"letion_tokens\":2}}\n\n"), true);
    drop(tracker);
    assert_eq!(in_flight(), [0, 0]);
    fixture.check_metric(&format!("llm_d_epp_request_running{{{LABELS}}} 0"));
    fixture.check_metric(&format!("llm_d_epp_request_total{{{LABELS}}} 1"));
    fixture.check_metric(&format!("llm_d_epp_request_input_tokens_sum{{{LABELS}}} 5"));
    fixture.check_metric(&format!("llm_d_epp_request_output_tokens_sum{{{LABELS}}} 2"));
    fixture.check_metric(&format!("llm_d_epp_request_duration_seconds_count{{{LABELS}}} 1"));
    let streaming = LABELS.replace("priority=\"0\",", "priority=\"0\",streaming=\"true\",");
    fixture.check_metric(&format!("llm_d_epp_request_ttft_seconds_count{{{streaming}}} 1"));
}

#[test]
fn a_dropped_response_counts_as_aborted() {
    let fixture = fixture(PREFIX, vec![endpoint("a")]);
    let (head, body) = completion("p");
    let (_, mut tracker) = fixture.route(head, body).unwrap();
    let _ = tracker.response_chunk(Bytes::from_static(b"{"), false);
    drop(tracker);
    fixture.check_metric(&format!("llm_d_epp_request_running{{{LABELS}}} 0"));
    fixture.check_metric(&format!("llm_d_epp_request_error_total{{error_code=\"Aborted\",{LABELS}}} 1"));
    assert_eq!(fixture.store.endpoints()[0].state.in_flight(), 0);
}

#[test]
fn a_second_attempt_is_the_same_request() {
    let fixture = fixture(PREFIX, vec![endpoint("a").port(1), endpoint("b").port(2)]);
    let (head, body) = completion("p");
    let (first, _tracker) = fixture.route(head.clone(), body.clone()).unwrap();
    let head = RequestHead { excluded: first.destinations.clone(), ..head };
    let (second, _tracker) = fixture.route(head, body).unwrap();
    assert_ne!(first.destinations, second.destinations);
    fixture.check_metric(&format!("llm_d_epp_request_total{{{LABELS}}} 1"));
}

#[test]
fn the_decision_explains_the_pick() {
    let fixture = fixture(
        DISAGGREGATED,
        vec![endpoint("p").port(1).role("prefill"), endpoint("d").port(2).role("decode").waiting(3)],
    );
    fixture.complete(&"x".repeat(640));
    let decision = fixture.director.decisions().snapshot()["decisions"][0].clone();
    assert_eq!(decision["request_id"], "id");
    assert_eq!(decision["destinations"], serde_json::json!(["127.0.0.1:2"]));
    assert_eq!(decision["set_headers"]["x-prefiller-host-port"], "127.0.0.1:1");
    assert_eq!(decision["candidates"][1]["waiting_requests"], 3);
    let decode = &decision["profiles"][0];
    assert_eq!(decode["name"], "decode");
    assert_eq!(
        decode["filters"][0],
        serde_json::json!({"name": "decode-filter", "verdicts": {"127.0.0.1:1": "removed", "127.0.0.1:2": "kept"}})
    );
    assert_eq!(
        decode["scorers"][0]["scores"]["127.0.0.1:2"],
        serde_json::json!({"raw": 0.0, "weighted": 0.0})
    );
    assert_eq!(decode["picked"], serde_json::json!(["127.0.0.1:2"]));
    assert_eq!(decision["profiles"][1]["picked"], serde_json::json!(["127.0.0.1:1"]));
}

#[test]
fn spoofed_routing_headers_change_nothing() {
    let fixture = fixture(PREFIX, vec![endpoint("a")]);
    let (mut head, body) = completion("p");
    for name in headers::ROUTING {
        head.headers.insert(name.to_owned(), "6.6.6.6:666".to_owned());
    }
    let (routed, _tracker) = fixture.route(head, body).unwrap();
    assert_eq!(routed.destinations, [fixture.store.endpoints()[0].host_port.clone()]);
    assert_eq!(routed.set_headers, []);
}

#[test]
fn concurrent_requests_leave_nothing_behind() {
    let endpoints =
        || vec![endpoint("p").role("prefill"), endpoint("d").role("decode"), endpoint("e").role("decode")];
    let fixture = fixture(DISAGGREGATED, endpoints());
    let states: Vec<_> = fixture.store.endpoints().iter().map(|it| Arc::clone(&it.state)).collect();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let fixture = &fixture;
            scope.spawn(move || {
                for number in 0..100 {
                    let (head, body) = completion(&format!("{} {thread}", "prefix ".repeat(number % 40)));
                    let (_, mut tracker) = fixture.route(head, body).unwrap();
                    let aborted = number % 3 == 0;
                    let _ = tracker.response_chunk(Bytes::from_static(b"{}"), !aborted);
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..50 {
                fixture.director.refresh();
                fixture.store.replace(endpoints().into_iter().map(EndpointBuilder::spec).collect());
            }
        });
    });
    assert!(states.iter().all(|it| it.in_flight() == 0));
    fixture.check_metric(&format!("llm_d_epp_request_running{{{LABELS}}} 0"));
    fixture.check_metric(&format!("llm_d_epp_request_total{{{LABELS}}} 400"));
    fixture.check_metric(&format!("llm_d_epp_request_error_total{{error_code=\"Aborted\",{LABELS}}} 136"));
}

#[test]
fn an_objective_gives_a_request_its_priority() {
    let fixture = fixture(PREFIX, vec![endpoint("a")]);
    fixture.policies.set_priorities(HashMap::from([("batch".to_owned(), -1)]));
    for (objective, priority) in [("batch", -1), ("unknown", 0), ("", 0)] {
        let (mut head, body) = completion("p");
        head.headers.insert(headers::OBJECTIVE[0].to_owned(), objective.to_owned());
        fixture.route(head, body).unwrap();
        assert_eq!(fixture.director.decisions().snapshot()["decisions"][0]["priority"], priority);
    }
    let text = render(&fixture.registry);
    let labels = LABELS.replace("priority=\"0\"", "priority=\"-1\"");
    assert!(text.contains(&format!("llm_d_epp_request_total{{{labels}}} 1")), "{text}");
}

#[test]
fn an_operators_rewrite_comes_before_the_header_and_is_counted_once() {
    use crate::policies::rewrites::{Rewrite, Rewrites, Rule, Target};
    let fixture = fixture(PREFIX, vec![endpoint("a")]);
    let target = Target { model: "m-v2".to_owned(), weight: Some(1) };
    let rules = vec![Rule { models: vec!["m".to_owned()], targets: vec![target] }];
    fixture.policies.set_rewrites(Rewrites::new(vec![Rewrite {
        name: "canary".to_owned(),
        created: 0,
        rules,
    }]));
    let (mut head, body) = completion("p");
    head.headers.insert(headers::MODEL_NAME_REWRITE[0].to_owned(), "other".to_owned());
    let retried = RequestHead { excluded: vec!["10.0.0.9:1".to_owned()], ..head.clone() };
    let (routed, tracker) = fixture.route(head, body.clone()).unwrap();
    assert_eq!(routed.body, r#"{"prompt":"p", "model":"m-v2"}"#);
    assert!(tracker.rewrites_response());
    fixture.route(retried, body).unwrap();
    let text = render(&fixture.registry);
    let labels = r#"model_name="m",model_rewrite_name="canary",target_model="m-v2""#;
    assert!(text.contains(&format!("llm_d_epp_model_rewrite_decisions_total{{{labels}}} 1")), "{text}");
}

#[test]
fn a_data_parallel_rank_is_reached_through_its_pods_primary_port() {
    let config = "plugins: [{type: data-parallel-profile-handler, parameters: {primaryPort: 8000}}]";
    let routed = fixture(config, vec![endpoint("a").port(8003)]).complete("p");
    assert_eq!(routed.destinations, ["127.0.0.1:8000"]);
    let rank = (headers::DATA_PARALLEL_HOST_PORT.to_owned(), "127.0.0.1:8003".to_owned());
    assert_eq!(routed.set_headers, [rank]);
}

#[test]
fn what_is_worth_least_is_dropped_while_the_engines_are_full() {
    let fixture = fixture(PREFIX, vec![endpoint("a").waiting(5)]);
    fixture.policies.set_priorities(HashMap::from([("batch".to_owned(), -1)]));
    fixture.complete("p");
    let (mut head, body) = completion("p");
    head.headers.insert(headers::OBJECTIVE[0].to_owned(), "batch".to_owned());
    let rejection = fixture.route(head.clone(), body.clone()).unwrap_err();
    let message = "ResourceExhausted - system saturated, sheddable request dropped";
    assert_eq!((rejection.status, rejection.message.as_str(), rejection.reason), (429, message, None));
    fixture.store.endpoints()[0].state.set_metrics(crate::datastore::EngineMetrics::default());
    fixture.route(head, body).unwrap();
}
