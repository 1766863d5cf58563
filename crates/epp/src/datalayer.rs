//! Keeps the metrics of every endpoint fresh: one scraper an endpoint, started and ended as endpoints come and go.
//!
//! [`source`] says where metrics are, [`scan`] reads the text, [`extract`] says which series mean what, and
//! [`scrape`] is the loop of one endpoint.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use llmd_common::shutdown::Shutdown;
use tokio_util::task::AbortOnDropHandle;

use crate::datastore::{Datastore, Endpoint};
use crate::metrics::Metrics;

pub mod extract;
pub mod scan;
pub mod scrape;
pub mod source;

pub use extract::MetricsExtractor;
pub use source::MetricsSource;

use scrape::Scraper;

/// How to scrape.
#[derive(Debug, Clone)]
pub struct Scraping {
    /// Where metrics are.
    pub source: MetricsSource,
    /// What they mean.
    pub extractor: Arc<MetricsExtractor>,
    /// Whether the engines' adapters are read too.
    pub reads_adapters: bool,
    /// Time between two scrapes of an endpoint, unless the source says otherwise.
    pub interval: Duration,
}

/// Scrapes every endpoint of `store` until `shutdown` drains.
pub fn start(store: Arc<Datastore>, scraping: Scraping, metrics: &Arc<Metrics>, shutdown: &Shutdown) {
    let mut changes = store.subscribe();
    let draining = shutdown.draining().clone();
    let (metrics, shutdown_of_scrapers) = (Arc::clone(metrics), shutdown.clone());
    shutdown.spawn(async move {
        let mut scrapers: HashMap<Key, AbortOnDropHandle<()>> = HashMap::new();
        loop {
            changes.mark_unchanged();
            let endpoints = store.endpoints().clone();
            let keys: Vec<Key> = endpoints.iter().map(|it| key(it)).collect();
            scrapers.retain(|key, _| keys.contains(key));
            for (key, endpoint) in keys.into_iter().zip(endpoints.iter()) {
                scrapers.entry(key).or_insert_with(|| {
                    let scraper = Scraper::new(endpoint, &scraping, &metrics);
                    AbortOnDropHandle::new(shutdown_of_scrapers.spawn(scraper.run()))
                });
            }
            tokio::select! {
                () = draining.cancelled() => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
        }
    });
}

/// A scraper serves one state under one set of labels; labels choose the engine.
type Key = (usize, std::collections::BTreeMap<String, String>);

fn key(endpoint: &Endpoint) -> Key {
    (Arc::as_ptr(&endpoint.state).addr(), endpoint.spec.labels.clone())
}

#[cfg(test)]
mod tests;
