//! The endpoints of the pool and what is known about each, as snapshots that readers take without a lock.
//!
//! Discovery replaces the whole list; an endpoint that stays keeps its state, so metrics and counters survive a
//! reload. Scrapers and the director write an endpoint's state through atomics.
//!
//! Not here: where endpoints come from ([`crate::discovery`]) and how metrics are read ([`crate::datalayer`]).

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;
use tokio::sync::watch;

/// Label that holds an endpoint's role in prefill/decode disaggregation. Owner: llm-d.
pub const ROLE_LABEL: &str = "llm-d.ai/role";

/// What discovery knows of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSpec {
    /// Name, unique in its namespace.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Where it serves inference and metrics.
    pub address: SocketAddr,
    /// Labels of the pod or of the file's entry.
    pub labels: BTreeMap<String, String>,
}

/// One serving address of the pool.
#[derive(Debug)]
pub struct Endpoint {
    /// What discovery said.
    pub spec: EndpointSpec,
    /// `ip:port`, IPv6 in brackets: how headers name the endpoint.
    pub host_port: String,
    /// What changes while it serves; shared by all snapshots.
    pub state: Arc<EndpointState>,
}

impl Endpoint {
    fn new(spec: EndpointSpec, state: Arc<EndpointState>) -> Arc<Self> {
        Arc::new(Self { host_port: spec.address.to_string(), spec, state })
    }

    /// Value of the role label, if there is one.
    #[must_use]
    pub fn role(&self) -> Option<&str> {
        self.spec.labels.get(ROLE_LABEL).map(String::as_str)
    }
}

/// What an engine last said about itself.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct EngineMetrics {
    /// Requests waiting to be scheduled.
    pub waiting_requests: u32,
    /// Requests in the running batch.
    pub running_requests: u32,
    /// Share of KV blocks in use, 0 to 1.
    pub kv_cache_usage: f64,
    /// Tokens in a KV block; 0 when unknown.
    pub block_size: u32,
    /// KV blocks of the engine; 0 when unknown.
    pub n_blocks: u32,
}

/// LoRA adapters of an engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Adapters {
    /// Loaded.
    pub running: Vec<Box<str>>,
    /// Waiting for a slot.
    pub waiting: Vec<Box<str>>,
    /// Slots.
    pub max: usize,
}

impl Adapters {
    /// From lists of names with commas, as engines give them.
    #[must_use]
    pub fn new(running: &str, waiting: &str, max: usize) -> Self {
        let names =
            |list: &str| list.split(',').map(str::trim).filter(|it| !it.is_empty()).map(Box::from).collect();
        Self { running: names(running), waiting: names(waiting), max }
    }
}

/// Mutable state of one endpoint. Each field is read and written on its own: a reader may see the queue of one
/// scrape beside the cache usage of the next, which does not matter for scores.
#[derive(Debug)]
pub struct EndpointState {
    id: AtomicU64,
    waiting_requests: AtomicU32,
    running_requests: AtomicU32,
    kv_cache_usage_bits: AtomicU64,
    block_size: AtomicU32,
    n_blocks: AtomicU32,
    adapters: ArcSwap<Adapters>,
    in_flight: AtomicU32,
    unreachable: AtomicBool,
}

/// Source of [`EndpointState::id`]; ids are never reused in a process.
static NEXT_ID: AtomicU64 = AtomicU64::new(0);

impl Default for EndpointState {
    fn default() -> Self {
        Self {
            id: AtomicU64::new(NEXT_ID.fetch_add(1, Ordering::Relaxed)),
            waiting_requests: AtomicU32::new(0),
            running_requests: AtomicU32::new(0),
            kv_cache_usage_bits: AtomicU64::new(0),
            block_size: AtomicU32::new(0),
            n_blocks: AtomicU32::new(0),
            adapters: ArcSwap::default(),
            in_flight: AtomicU32::new(0),
            unreachable: AtomicBool::new(false),
        }
    }
}

impl EndpointState {
    /// Identifies this life of the endpoint: changes when the engine went away and so lost its cache.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id.load(Ordering::Relaxed)
    }

    /// The engine's last known metrics.
    #[must_use]
    pub fn metrics(&self) -> EngineMetrics {
        EngineMetrics {
            waiting_requests: self.waiting_requests.load(Ordering::Relaxed),
            running_requests: self.running_requests.load(Ordering::Relaxed),
            kv_cache_usage: f64::from_bits(self.kv_cache_usage_bits.load(Ordering::Relaxed)),
            block_size: self.block_size.load(Ordering::Relaxed),
            n_blocks: self.n_blocks.load(Ordering::Relaxed),
        }
    }

    /// Replaces the metrics.
    pub fn set_metrics(&self, metrics: EngineMetrics) {
        self.waiting_requests.store(metrics.waiting_requests, Ordering::Relaxed);
        self.running_requests.store(metrics.running_requests, Ordering::Relaxed);
        self.kv_cache_usage_bits.store(metrics.kv_cache_usage.to_bits(), Ordering::Relaxed);
        self.block_size.store(metrics.block_size, Ordering::Relaxed);
        self.n_blocks.store(metrics.n_blocks, Ordering::Relaxed);
    }

    /// The engine's adapters as last known; none when nobody reads them.
    #[must_use]
    pub fn adapters(&self) -> Guard<Arc<Adapters>> {
        self.adapters.load()
    }

    /// Replaces the adapters.
    pub fn set_adapters(&self, adapters: Adapters) {
        if **self.adapters.load() != adapters {
            self.adapters.store(Arc::new(adapters));
        }
    }

    /// Whether the engine answered one of the last scrapes, or was never scraped.
    #[must_use]
    pub fn is_reachable(&self) -> bool {
        !self.unreachable.load(Ordering::Relaxed)
    }

    /// Records whether the engine answers. An engine that stops answering gets a new [`id`](Self::id).
    pub fn set_reachable(&self, reachable: bool) {
        let was_unreachable = self.unreachable.swap(!reachable, Ordering::Relaxed);
        if !reachable && !was_unreachable {
            self.id.store(NEXT_ID.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// Requests this process routed here that have not ended.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Counts a request as in flight here until the guard is dropped.
    #[must_use]
    pub fn start_request(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }
}

/// One request in flight at one endpoint.
#[derive(Debug)]
pub struct InFlight(Arc<EndpointState>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Endpoints at one moment, in the order discovery gave.
pub type Snapshot = Arc<Vec<Arc<Endpoint>>>;

/// The current endpoints.
#[derive(Debug)]
pub struct Datastore {
    current: ArcSwap<Vec<Arc<Endpoint>>>,
    writer: Mutex<()>,
    changed: watch::Sender<()>,
}

impl Default for Datastore {
    fn default() -> Self {
        Self { current: ArcSwap::default(), writer: Mutex::new(()), changed: watch::Sender::new(()) }
    }
}

impl Datastore {
    /// The endpoints now.
    #[must_use]
    pub fn endpoints(&self) -> Guard<Snapshot> {
        self.current.load()
    }

    /// Wakes at every change of the list.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Replaces the list. An endpoint keeps its state when namespace, name and address stay the same. Of
    /// several specs with one namespace and name the last wins.
    pub fn replace(&self, specs: Vec<EndpointSpec>) {
        let _one_writer = self.writer.lock();
        let old = self.current.load_full();
        let known: HashMap<_, _> = old.iter().map(|it| (key(&it.spec), it)).collect();
        let mut next: indexmap::IndexMap<(String, String), Arc<Endpoint>> =
            indexmap::IndexMap::with_capacity(specs.len());
        for spec in specs {
            let state = match known.get(&key(&spec)) {
                Some(same) if same.spec.address == spec.address => Arc::clone(&same.state),
                _ => Arc::default(),
            };
            next.insert((spec.namespace.clone(), spec.name.clone()), Endpoint::new(spec, state));
        }
        self.current.store(Arc::new(next.into_values().collect()));
        self.changed.send_replace(());
    }
}

fn key(spec: &EndpointSpec) -> (&str, &str) {
    (&spec.namespace, &spec.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::endpoint;

    fn names(store: &Datastore) -> Vec<String> {
        store.endpoints().iter().map(|it| it.spec.name.clone()).collect()
    }

    #[test]
    fn an_endpoint_that_stays_keeps_its_state() {
        let store = Datastore::default();
        store.replace(vec![endpoint("a").spec(), endpoint("b").spec()]);
        let before = Arc::clone(&store.endpoints()[1].state);
        store.replace(vec![endpoint("b").role("decode").spec(), endpoint("c").spec()]);
        assert_eq!(names(&store), ["b", "c"]);
        assert!(Arc::ptr_eq(&before, &store.endpoints()[0].state));
        assert_eq!(store.endpoints()[0].role(), Some("decode"));
    }

    #[test]
    fn a_new_address_is_a_new_endpoint() {
        let store = Datastore::default();
        store.replace(vec![endpoint("a").port(1).spec()]);
        let before = store.endpoints()[0].state.id();
        store.replace(vec![endpoint("a").port(2).spec()]);
        assert_ne!(store.endpoints()[0].state.id(), before);
    }

    #[test]
    fn of_two_equal_names_the_last_wins() {
        let store = Datastore::default();
        store.replace(vec![endpoint("a").port(1).spec(), endpoint("b").spec(), endpoint("a").port(2).spec()]);
        assert_eq!(names(&store), ["a", "b"]);
        assert_eq!(store.endpoints()[0].spec.address.port(), 2);
    }

    #[test]
    fn an_engine_that_went_away_comes_back_as_another() {
        let state = EndpointState::default();
        let first = state.id();
        state.set_reachable(true);
        assert_eq!(state.id(), first);
        state.set_reachable(false);
        let second = state.id();
        state.set_reachable(false);
        state.set_reachable(true);
        assert_ne!(second, first);
        assert_eq!(state.id(), second);
    }

    #[test]
    fn requests_in_flight_end_with_their_guard() {
        let state = Arc::new(EndpointState::default());
        let guard = state.start_request();
        assert_eq!(state.in_flight(), 1);
        drop(guard);
        assert_eq!(state.in_flight(), 0);
    }
}
