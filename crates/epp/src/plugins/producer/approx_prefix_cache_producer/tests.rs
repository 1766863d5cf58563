use std::collections::HashMap;

use super::*;
use crate::datastore::Datastore;
use crate::metrics::Metrics;
use crate::scheduling::ProfileRun;
use crate::testing::{candidates, endpoint, request, store};

fn producer(parameters: &Parameters) -> ApproxPrefixCacheProducer {
    ApproxPrefixCacheProducer {
        auto_tune: parameters.auto_tune,
        block_tokens: parameters.block_size_tokens.unwrap_or(DEFAULT_BLOCK_TOKENS),
        max_blocks: parameters.max_prefix_blocks_to_match,
        max_tokens: parameters.max_prefix_tokens_to_match,
        capacity: parameters.lru_capacity_per_server,
        index: ApproxIndex::default(),
        metrics: Metrics::unregistered().prefix("approx-prefix-cache-producer", "test"),
    }
}

fn look_up(producer: &ApproxPrefixCacheProducer, store: &Datastore, text: &str) -> (PrefixMatches, Vec<u64>) {
    let (endpoints, headers) = (store.endpoints(), HashMap::new());
    producer.look_up(&request(text, &headers), &candidates(&endpoints))
}

/// Routes `text` to the endpoints numbered `picked`, one run each.
fn route(producer: &ApproxPrefixCacheProducer, store: &Datastore, text: &str, picked: &[usize]) {
    let (matches, blocks) = look_up(producer, store, text);
    let endpoints = store.endpoints();
    let run = |&index: &usize| ProfileRun {
        profile: "p".into(),
        filters: vec![],
        scored: vec![],
        scorers: vec![],
        totals: vec![],
        picked: vec![index],
    };
    let schedule =
        Schedule { candidates: candidates(&endpoints), runs: picked.iter().map(run).collect(), primary: 0 };
    producer.remember(&schedule, &matches, &blocks);
}

#[test]
fn remembers_every_picked_endpoint() {
    let store = store(vec![endpoint("a"), endpoint("b"), endpoint("c")]);
    let producer = producer(&Parameters::default());
    let text = "x".repeat(64 * 3);
    route(&producer, &store, &text, &[0, 2]);
    let (matches, _) = look_up(&producer, &store, &format!("{text}and more"));
    assert_eq!(matches, PrefixMatches { total_blocks: 4, block_size: 16, cached_blocks: vec![3, 0, 3] });
}

#[test]
fn takes_block_size_and_capacity_from_the_engine() {
    let store = store(vec![endpoint("a").cache(8, 2)]);
    let tuned = producer(&Parameters::default());
    route(&tuned, &store, &"x".repeat(32 * 4), &[0]);
    let (matches, _) = look_up(&tuned, &store, &"x".repeat(32 * 4));
    assert_eq!(matches, PrefixMatches { total_blocks: 4, block_size: 8, cached_blocks: vec![2] });

    let fixed = producer(&Parameters { auto_tune: false, ..Parameters::default() });
    route(&fixed, &store, &"x".repeat(32 * 4), &[0]);
    let (matches, _) = look_up(&fixed, &store, &"x".repeat(32 * 4));
    assert_eq!(matches, PrefixMatches { total_blocks: 2, block_size: 16, cached_blocks: vec![2] });
}

#[test]
fn the_limit_in_tokens_wins_over_the_one_in_blocks() {
    let store = store(vec![endpoint("a")]);
    let text = "x".repeat(64 * 100);
    let blocks = |max_blocks, max_tokens| {
        let parameters = Parameters {
            max_prefix_blocks_to_match: max_blocks,
            max_prefix_tokens_to_match: max_tokens,
            ..Parameters::default()
        };
        look_up(&producer(&parameters), &store, &text).0.total_blocks
    };
    assert_eq!(blocks(10, 32), 2);
    assert_eq!(blocks(10, 0), 10);
    assert_eq!(blocks(0, 0), 100);
}

#[test]
fn forgets_endpoints_that_left_or_restarted() {
    let store = store(vec![endpoint("a"), endpoint("b")]);
    let producer = producer(&Parameters::default());
    route(&producer, &store, "hello", &[0, 1]);
    store.endpoints()[0].state.set_reachable(false);
    producer.refresh(&store.endpoints());
    store.endpoints()[0].state.set_reachable(true);
    let (matches, _) = look_up(&producer, &store, "hello");
    assert_eq!(matches.cached_blocks, [0, 1]);
    assert_eq!(producer.index.n_blocks(), 1);
}
