//! Counters of ext_proc streams, exported with `--enable-grpc-stream-metrics`.

use std::time::Instant;

use llmd_common::metrics::register;
use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts, Registry};
use tonic::Code;

/// Bounds of the stream duration in seconds: a stream lasts as long as its request.
const DURATION_BUCKETS: [f64; 14] =
    [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0];

/// Streams in flight, their duration and how they ended. Clones share the series.
#[derive(Debug, Clone)]
pub struct StreamMetrics {
    inflight: IntGauge,
    duration: Histogram,
    total: IntCounterVec,
}

impl StreamMetrics {
    /// Registers the series.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        let name = |name: &str| format!("llm_d_epp_extproc_streams_{name}");
        let duration = HistogramOpts::new(
            "llm_d_epp_extproc_stream_duration_seconds",
            "[ALPHA] Duration of ext_proc streams in seconds.",
        );
        Self {
            inflight: register(
                registry,
                IntGauge::new(name("inflight"), "[ALPHA] Number of ext_proc streams in flight."),
            ),
            duration: register(registry, Histogram::with_opts(duration.buckets(DURATION_BUCKETS.to_vec()))),
            total: register(
                registry,
                IntCounterVec::new(
                    Opts::new(name("total"), "[ALPHA] Number of ext_proc streams by gRPC status code."),
                    &["code"],
                ),
            ),
        }
    }

    /// Counts a stream from now until the guard is dropped.
    pub(super) fn start(&self) -> StreamGuard {
        self.inflight.inc();
        StreamGuard { metrics: self.clone(), started: Instant::now(), code: Code::Cancelled }
    }
}

/// One stream in flight. Dropped without a code it counts as cancelled: the gateway went away.
#[derive(Debug)]
pub(super) struct StreamGuard {
    metrics: StreamMetrics,
    started: Instant,
    code: Code,
}

impl StreamGuard {
    pub(super) const fn set_code(&mut self, code: Code) {
        self.code = code;
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        self.metrics.inflight.dec();
        self.metrics.duration.observe(self.started.elapsed().as_secs_f64());
        self.metrics.total.with_label_values(&[label(self.code).as_str()]).inc();
    }
}

/// A code as Go's `codes` package spells it, which is how the peers label the series.
fn label(code: Code) -> String {
    match code {
        Code::Ok => "OK".to_owned(),
        Code::Cancelled => "Canceled".to_owned(),
        other => format!("{other:?}"),
    }
}
