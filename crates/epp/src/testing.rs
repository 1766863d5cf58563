//! Builders for tests of this crate: endpoints, requests and candidates with only the facts a test is about.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use crate::datastore::{Datastore, Endpoint, EndpointSpec, EngineMetrics, ROLE_LABEL};
use crate::request::{InferenceRequest, PrefixMatches, Prompt};
use crate::scheduling::Candidate;

/// An endpoint on a loopback address with a port made from its name.
pub(crate) fn endpoint(name: &str) -> EndpointBuilder {
    let port = 8000 + name.bytes().map(u16::from).sum::<u16>();
    EndpointBuilder {
        spec: EndpointSpec {
            name: name.to_owned(),
            namespace: "default".to_owned(),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            labels: std::collections::BTreeMap::new(),
        },
        metrics: EngineMetrics::default(),
    }
}

pub(crate) struct EndpointBuilder {
    spec: EndpointSpec,
    metrics: EngineMetrics,
}

impl EndpointBuilder {
    pub(crate) fn port(mut self, port: u16) -> Self {
        self.spec.address.set_port(port);
        self
    }

    pub(crate) fn role(self, role: &str) -> Self {
        self.label(ROLE_LABEL, role)
    }

    pub(crate) fn label(mut self, key: &str, value: &str) -> Self {
        self.spec.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn waiting(mut self, waiting_requests: u32) -> Self {
        self.metrics.waiting_requests = waiting_requests;
        self
    }

    pub(crate) fn running(mut self, running_requests: u32) -> Self {
        self.metrics.running_requests = running_requests;
        self
    }

    pub(crate) fn kv_cache_usage(mut self, share: f64) -> Self {
        self.metrics.kv_cache_usage = share;
        self
    }

    pub(crate) fn cache(mut self, block_size: u32, n_blocks: u32) -> Self {
        self.metrics.block_size = block_size;
        self.metrics.n_blocks = n_blocks;
        self
    }

    pub(crate) fn spec(self) -> EndpointSpec {
        self.spec
    }
}

/// A store that holds `endpoints` with their metrics.
pub(crate) fn store(endpoints: Vec<EndpointBuilder>) -> Arc<Datastore> {
    let store = Datastore::default();
    let metrics: Vec<_> = endpoints.iter().map(|it| it.metrics).collect();
    store.replace(endpoints.into_iter().map(|it| it.spec).collect());
    for (endpoint, metrics) in store.endpoints().iter().zip(metrics) {
        endpoint.state.set_metrics(metrics);
    }
    Arc::new(store)
}

/// Every endpoint of `store` as a candidate.
pub(crate) fn candidates(endpoints: &[Arc<Endpoint>]) -> Vec<Candidate<'_>> {
    endpoints.iter().enumerate().map(|(index, it)| Candidate::new(index, it)).collect()
}

/// A request for model `m` with one piece of text as its prompt.
pub(crate) fn request<'a>(text: &'a str, headers: &'a HashMap<String, String>) -> InferenceRequest<'a> {
    let mut prompt = Prompt::default();
    prompt.push_text(text.into());
    InferenceRequest {
        id: "test".into(),
        model: "m".into(),
        target_model: "m".into(),
        priority: 0,
        cache_salt: "".into(),
        prompt,
        headers,
        prefix_matches: Vec::new(),
    }
}

/// What a prefix producer would say: `total` blocks of `block_size` tokens, of which each candidate holds some.
pub(crate) fn prefix_matches(total: u32, block_size: u32, cached: &[u32]) -> PrefixMatches {
    PrefixMatches { total_blocks: total, block_size, cached_blocks: cached.to_vec() }
}
