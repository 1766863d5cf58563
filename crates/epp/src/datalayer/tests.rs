use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;

use super::*;
use crate::config::EndpointPickerConfig;
use crate::config::graph::Graph;
use crate::datastore::EngineMetrics;
use crate::testing::endpoint;

/// An engine that serves metrics, counts scrapes and connections, and dies when dropped.
struct FakeEngine {
    address: SocketAddr,
    scrapes: Arc<AtomicU32>,
    _server: AbortOnDropHandle<()>,
}

async fn engine(port: u16, page: &'static str) -> FakeEngine {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let scrapes = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&scrapes);
    let metrics = get(move || async move {
        counter.fetch_add(1, Ordering::Relaxed);
        page
    });
    let router = Router::new().route("/metrics", metrics);
    let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    FakeEngine { address, scrapes, _server: AbortOnDropHandle::new(server) }
}

fn scraping() -> Scraping {
    let graph = Graph::load(&EndpointPickerConfig::without_file(), &Metrics::unregistered()).unwrap();
    let (source, extractor) = graph.scraping.unwrap();
    Scraping { source, extractor, interval: Duration::from_millis(5) }
}

async fn eventually(condition: impl Fn() -> bool) {
    let holds = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), holds).await.expect("the condition holds in time");
}

const PAGE: &str = "vllm:num_requests_waiting 3\nvllm:num_requests_running 2\nvllm:kv_cache_usage_perc 0.25\n\
                    vllm:cache_config_info{block_size=\"16\",num_gpu_blocks=\"64\"} 1\n";

#[tokio::test]
async fn reads_metrics_and_notices_death_and_return() {
    let first = engine(0, PAGE).await;
    let (store, shutdown) = (Arc::new(Datastore::default()), Shutdown::new());
    start(Arc::clone(&store), scraping(), &Metrics::unregistered(), &shutdown);
    let port = first.address.port();
    store.replace(vec![endpoint("a").port(port).spec()]);
    let state = Arc::clone(&store.endpoints()[0].state);
    let expected = EngineMetrics {
        waiting_requests: 3,
        running_requests: 2,
        kv_cache_usage: 0.25,
        block_size: 16,
        n_blocks: 64,
    };
    eventually(|| state.metrics() == expected).await;
    assert!(state.is_reachable());

    // axum tasks outlive the listener, so the connection must be cut too: a runtime of its own would do the
    // same. Dropping the server closes the listener; replacing the endpoint list closes the scraper's side.
    drop(first);
    store.replace(vec![]);
    store.replace(vec![endpoint("a").port(port).spec()]);
    let state = Arc::clone(&store.endpoints()[0].state);
    eventually(|| !state.is_reachable()).await;

    let _second = engine(port, PAGE).await;
    eventually(|| state.is_reachable() && state.metrics() == expected).await;
}

#[tokio::test]
async fn an_engine_without_metrics_is_still_reachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let _server =
        AbortOnDropHandle::new(tokio::spawn(
            async move { axum::serve(listener, Router::new()).await.unwrap() },
        ));
    let (store, shutdown, registry) =
        (Arc::new(Datastore::default()), Shutdown::new(), prometheus::Registry::new());
    let metrics = Metrics::new(&registry, "");
    start(Arc::clone(&store), scraping(), &metrics, &shutdown);
    store.replace(vec![endpoint("a").port(port).spec()]);
    eventually(|| metrics.poll_errors("metrics-data-source").get() > 10.0).await;
    assert!(store.endpoints()[0].state.is_reachable());
}

#[tokio::test]
async fn endpoints_that_leave_are_not_scraped_any_more() {
    let engine = engine(0, PAGE).await;
    let (store, shutdown) = (Arc::new(Datastore::default()), Shutdown::new());
    start(Arc::clone(&store), scraping(), &Metrics::unregistered(), &shutdown);
    store.replace(vec![endpoint("a").port(engine.address.port()).spec()]);
    eventually(|| engine.scrapes.load(Ordering::Relaxed) > 2).await;
    store.replace(vec![]);
    tokio::time::sleep(Duration::from_millis(30)).await;
    let n_scrapes = engine.scrapes.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(engine.scrapes.load(Ordering::Relaxed), n_scrapes);
}
