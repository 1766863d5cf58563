use std::collections::HashMap;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::config::EndpointPickerConfig;
use crate::config::graph::Graph;
use crate::metrics::Metrics;
use crate::testing::{EndpointBuilder, candidates, endpoint, request, store};

fn graph(rest: &str) -> Graph {
    let text = format!("apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n{rest}");
    Graph::load(&EndpointPickerConfig::parse(&text).unwrap(), &Metrics::unregistered()).unwrap()
}

/// Runs one cycle; returns `profile: pick` of each run, or the error.
fn schedule(
    graph: &Graph,
    endpoints: Vec<EndpointBuilder>,
    prompt: &str,
) -> Result<Vec<String>, ScheduleError> {
    let (store, headers) = (store(endpoints), HashMap::new());
    let endpoints = store.endpoints();
    let (candidates, mut request) = (candidates(&endpoints), request(prompt, &headers));
    for producer in &graph.producers {
        let matches = producer.plugin.look_up(&request, &candidates).0;
        request.prefix_matches.push(matches);
    }
    let mut rng = StdRng::seed_from_u64(1);
    let mut cycle = Cycle::new(&request, &candidates, &graph.profiles, &mut rng);
    let primary = graph.handler.plugin.schedule(&mut cycle)?;
    let runs = cycle.into_runs();
    let name = |index: &usize| candidates[*index].endpoint.spec.name.as_str();
    let describe = |run: &ProfileRun| {
        format!("{}: {}", run.profile, run.picked.iter().map(name).collect::<Vec<_>>().join(","))
    };
    let mut picks: Vec<_> = runs.iter().map(describe).collect();
    picks.swap(0, primary);
    Ok(picks)
}

#[test]
fn totals_are_sums_of_weighted_clamped_scores() {
    let graph = graph(
        "plugins: [{type: queue-scorer}, {type: kv-cache-utilization-scorer}]\n\
         schedulingProfiles: [{name: p, plugins: [{pluginRef: queue-scorer, weight: 2},\
         {pluginRef: kv-cache-utilization-scorer, weight: 3}]}]",
    );
    let store = store(vec![
        endpoint("a").waiting(0).kv_cache_usage(0.5),
        endpoint("b").waiting(4).kv_cache_usage(0.0),
        endpoint("c").waiting(1).kv_cache_usage(f64::NAN),
    ]);
    let (endpoints, headers) = (store.endpoints(), HashMap::new());
    let run = graph.profiles["p"].run(
        &request("", &headers),
        &candidates(&endpoints),
        &mut StdRng::seed_from_u64(1),
    );
    assert_eq!(run.totals, [2.0 + 1.5, 3.0, 1.5]);
    assert_eq!(run.picked, [0]);
    assert_eq!(run.scorers[1].scores, [0.5, 1.0, 0.0]);
}

#[test]
fn filters_record_whom_they_removed() {
    let graph = graph("plugins: [{type: decode-filter}, {type: prefill-filter}]");
    let store =
        store(vec![endpoint("d").role("decode"), endpoint("b").role("both"), endpoint("p").role("prefill")]);
    let (endpoints, headers) = (store.endpoints(), HashMap::new());
    let run = graph.profiles["default"].run(
        &request("", &headers),
        &candidates(&endpoints),
        &mut StdRng::seed_from_u64(1),
    );
    let removed: Vec<_> = run.filters.iter().map(|it| (&*it.plugin, it.removed.clone())).collect();
    assert_eq!(removed, [("decode-filter", vec![2]), ("prefill-filter", vec![0])]);
    assert_eq!((run.scored, run.picked), (vec![1], vec![1]));
}

#[test]
fn a_profile_that_removes_everyone_ends_the_request() {
    let graph = graph("plugins: [{type: prefill-filter}]");
    assert_eq!(schedule(&graph, vec![endpoint("d").role("decode")], ""), Err(ScheduleError::NoEndpoint));
}

fn disaggregated(parameters: &str) -> Graph {
    graph(&format!(
        "plugins:\n- {{type: disagg-profile-handler, parameters: {parameters}}}\n\
         - {{type: prefix-based-pd-decider, name: prefix, parameters: {{nonCachedTokens: 4}}}}\n\
         - {{type: always-disagg-pd-decider, name: always}}\n- {{type: prefill-filter}}\n- {{type: decode-filter}}\n\
         schedulingProfiles: [{{name: prefill, plugins: [{{pluginRef: prefill-filter}}]}},\
         {{name: decode, plugins: [{{pluginRef: decode-filter}}]}}]"
    ))
}

fn prefill_and_decode() -> Vec<EndpointBuilder> {
    vec![endpoint("p").role("prefill"), endpoint("d").role("decode")]
}

#[test]
fn decode_first_asks_the_decider() {
    let prefix = disaggregated("{deciders: {prefill: prefix}}");
    let long = "a prompt of some length";
    assert_eq!(schedule(&prefix, prefill_and_decode(), long).unwrap(), ["decode: d", "prefill: p"]);
    assert_eq!(schedule(&prefix, prefill_and_decode(), "short").unwrap(), ["decode: d"]);
    let always = disaggregated("{deciders: {prefill: always}}");
    assert_eq!(schedule(&always, prefill_and_decode(), "").unwrap(), ["decode: d", "prefill: p"]);
    let never = disaggregated("{}");
    assert_eq!(schedule(&never, prefill_and_decode(), long).unwrap(), ["decode: d"]);
}

#[test]
fn prefill_first_needs_no_decider() {
    let graph = disaggregated("{stageOrder: prefill-first}");
    assert_eq!(schedule(&graph, prefill_and_decode(), "").unwrap(), ["decode: d", "prefill: p"]);
}

#[test]
fn without_prefill_endpoints_decode_does_it_alone() {
    let graph = disaggregated("{deciders: {prefill: always}}");
    let picks = schedule(&graph, vec![endpoint("d").role("decode")], "").unwrap();
    assert_eq!(picks, ["decode: d", "prefill: "]);
}

#[test]
fn without_decode_endpoints_there_is_no_pick() {
    for parameters in ["{deciders: {prefill: always}}", "{stageOrder: prefill-first}"] {
        let picks = schedule(&disaggregated(parameters), vec![endpoint("p").role("prefill")], "");
        assert_eq!(picks, Err(ScheduleError::NoDecode));
    }
}
