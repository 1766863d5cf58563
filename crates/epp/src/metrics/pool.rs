//! Gauges about the whole pool.

use std::sync::Arc;

use prometheus::{Gauge, GaugeVec};

use crate::datastore::{Endpoint, EngineMetrics};
use crate::metrics::Family;

#[derive(Debug)]
pub(super) struct PoolFamilies {
    name: String,
    ready_endpoints: Gauge,
    kv_cache_utilization: Gauge,
    queue_size: Gauge,
    running_requests: Gauge,
    per_endpoint_queue_size: GaugeVec,
}

impl PoolFamilies {
    pub(super) fn new(family: &Family<'_>, name: &str) -> Self {
        let gauge = |family_name, help| family.gauge(family_name, &["name"], help).with_label_values(&[name]);
        Self {
            name: name.to_owned(),
            ready_endpoints: gauge(
                "ready_endpoints",
                "The number of ready endpoints in the inference server pool.",
            ),
            kv_cache_utilization: gauge(
                "average_kv_cache_utilization",
                "The average kv cache utilization for an inference server pool.",
            ),
            queue_size: gauge(
                "average_queue_size",
                "The average number of requests pending in the model server queue.",
            ),
            running_requests: gauge(
                "average_running_requests",
                "The average number of running requests across model servers in the pool.",
            ),
            per_endpoint_queue_size: family.gauge(
                "per_endpoint_queue_size",
                &["name", "model_server_endpoint"],
                "The total number of requests pending in the model server queue for each underlying endpoint.",
            ),
        }
    }

    /// Sets every gauge from the endpoints that answer.
    #[expect(clippy::cast_precision_loss, reason = "endpoints of a pool are far fewer than 2^52")]
    pub(super) fn set(&self, endpoints: &[Arc<Endpoint>]) {
        let ready: Vec<(&Endpoint, EngineMetrics)> = endpoints
            .iter()
            .filter(|it| it.state.is_reachable())
            .map(|it| (it.as_ref(), it.state.metrics()))
            .collect();
        let average = |value: &dyn Fn(&EngineMetrics) -> f64| {
            ready.iter().map(|(_, metrics)| value(metrics)).sum::<f64>() / ready.len().max(1) as f64
        };
        self.ready_endpoints.set(ready.len() as f64);
        self.kv_cache_utilization.set(average(&|it| it.kv_cache_usage));
        self.queue_size.set(average(&|it| f64::from(it.waiting_requests)));
        self.running_requests.set(average(&|it| f64::from(it.running_requests)));
        // Endpoints that left must not keep their last value.
        self.per_endpoint_queue_size.reset();
        for (endpoint, metrics) in ready {
            self.per_endpoint_queue_size
                .with_label_values(&[&self.name, &endpoint.spec.name])
                .set(f64::from(metrics.waiting_requests));
        }
    }
}
