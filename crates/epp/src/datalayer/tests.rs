use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::config::EndpointPickerConfig;
use crate::config::graph::Graph;
use crate::datastore::EngineMetrics;
use crate::testing::endpoint;

/// An engine that serves metrics and counts scrapes. Dropping it is its sudden death: it runs on a runtime of
/// its own, so that listener and connections go at once.
struct FakeEngine {
    port: u16,
    scrapes: Arc<AtomicU32>,
    runtime: Option<Runtime>,
}

impl FakeEngine {
    fn start(port: u16, router: Router) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let scrapes = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&scrapes);
        let router = router.layer(axum::middleware::map_request(move |request: axum::extract::Request| {
            counter.fetch_add(1, Ordering::Relaxed);
            std::future::ready(request)
        }));
        runtime.spawn(async move {
            axum::serve(TcpListener::from_std(listener).unwrap(), router).await.unwrap();
        });
        Self { port, scrapes, runtime: Some(runtime) }
    }

    fn n_scrapes(&self) -> u32 {
        self.scrapes.load(Ordering::Relaxed)
    }
}

impl Drop for FakeEngine {
    fn drop(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

fn with_page() -> Router {
    Router::new().route("/metrics", get(|| async { PAGE }))
}

fn scraping() -> Scraping {
    let graph = Graph::load(&EndpointPickerConfig::without_file(), &Metrics::unregistered()).unwrap();
    let (source, extractor) = graph.scraping.unwrap();
    Scraping { source, extractor, reads_adapters: false, interval: Duration::from_millis(5) }
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
    let engine = FakeEngine::start(0, with_page());
    let port = engine.port;
    let (store, shutdown) = (Arc::new(Datastore::default()), Shutdown::new());
    start(Arc::clone(&store), scraping(), &Metrics::unregistered(), &shutdown);
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

    let first_life = state.id();
    drop(engine);
    eventually(|| !state.is_reachable()).await;
    assert_ne!(state.id(), first_life);

    let _engine = FakeEngine::start(port, with_page());
    eventually(|| state.is_reachable()).await;
}

#[tokio::test]
async fn an_engine_without_metrics_is_still_reachable() {
    let engine = FakeEngine::start(0, Router::new());
    let (store, shutdown, metrics) =
        (Arc::new(Datastore::default()), Shutdown::new(), Metrics::unregistered());
    start(Arc::clone(&store), scraping(), &metrics, &shutdown);
    store.replace(vec![endpoint("a").port(engine.port).spec()]);
    eventually(|| metrics.poll_errors("metrics-data-source").get() > 10.0).await;
    assert!(store.endpoints()[0].state.is_reachable());
}

#[tokio::test]
async fn an_engine_that_cannot_serve_yet_or_any_more_is_unreachable() {
    let unavailable = || async { StatusCode::SERVICE_UNAVAILABLE };
    let engine = FakeEngine::start(0, Router::new().route("/metrics", get(unavailable)));
    let (store, shutdown) = (Arc::new(Datastore::default()), Shutdown::new());
    start(Arc::clone(&store), scraping(), &Metrics::unregistered(), &shutdown);
    store.replace(vec![endpoint("a").port(engine.port).spec()]);
    eventually(|| !store.endpoints()[0].state.is_reachable()).await;
}

#[tokio::test]
async fn endpoints_that_leave_are_not_scraped_any_more() {
    let engine = FakeEngine::start(0, with_page());
    let (store, shutdown) = (Arc::new(Datastore::default()), Shutdown::new());
    start(Arc::clone(&store), scraping(), &Metrics::unregistered(), &shutdown);
    store.replace(vec![endpoint("a").port(engine.port).spec()]);
    eventually(|| engine.n_scrapes() > 2).await;
    store.replace(vec![]);
    tokio::time::sleep(Duration::from_millis(30)).await;
    let n_scrapes = engine.n_scrapes();
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(engine.n_scrapes(), n_scrapes);
}

/// `metrics-data-source` with these parameters.
fn source(parameters: &str) -> Scraping {
    let config = format!(
        "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n\
         plugins: [{{type: metrics-data-source, parameters: {parameters}}}]"
    );
    let graph = Graph::load(&EndpointPickerConfig::parse(&config).unwrap(), &Metrics::unregistered());
    Scraping { source: graph.unwrap().scraping.unwrap().0, ..scraping() }
}

#[tokio::test]
async fn metrics_over_tls_are_read_from_whom_the_parameters_trust() {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = llmd_common::tls::Replaceable::new(
        made.cert.pem().as_bytes(),
        made.signing_key.serialize_pem().as_bytes(),
    );
    let tls = certificate.unwrap().server_config(&[b"http/1.1"]).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
    let (listener, shutdown) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), Shutdown::new());
    let port = listener.local_addr().unwrap().port();
    let service = hyper_util::service::TowerToHyperService::new(with_page());
    let limits = llmd_common::serve::Limits::default();
    shutdown.spawn(llmd_common::serve::serve(listener, service, Some(acceptor), limits, shutdown.clone()));

    let folder = tempfile::tempdir().unwrap();
    let (known, unknown) = (folder.path().join("known.crt"), folder.path().join("unknown.crt"));
    std::fs::write(&known, made.cert.pem()).unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(&unknown, other.cert.pem()).unwrap();
    for (parameters, is_trusted) in [
        (format!("{{scheme: https, port: {port}}}"), true),
        (format!("{{scheme: https, port: {port}, caCertPath: {}}}", known.display()), true),
        (format!("{{scheme: https, port: {port}, caCertPath: {}}}", unknown.display()), false),
    ] {
        let store = Arc::new(Datastore::default());
        start(Arc::clone(&store), source(&parameters), &Metrics::unregistered(), &shutdown);
        // The parameters give the port of metrics.
        store.replace(vec![endpoint("a").port(9).spec()]);
        let state = Arc::clone(&store.endpoints()[0].state);
        if is_trusted {
            eventually(|| state.metrics().waiting_requests == 3).await;
        } else {
            eventually(|| !state.is_reachable()).await;
        }
    }
}
