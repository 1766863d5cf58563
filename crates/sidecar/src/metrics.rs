//! The sidecar's own metrics, on `--metrics-port`. (`/metrics` on the data port is the engine's.)

use std::time::Duration;

use llmd_common::metrics::register;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use tokio::time::Instant;

use crate::allowlist::Denied;

/// Seconds, from a fraction of a token to a long prefill.
const SECONDS: [f64; 16] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0];

const NO_MEMBER: &str = "no_member";
const UNKNOWN: &str = "pool_unknown";

/// Every series of the process, created at zero.
#[derive(Debug, Clone)]
pub struct Metrics {
    requests: IntCounterVec,
    inflight: IntGauge,
    prefill_seconds: Histogram,
    decode_ttft_seconds: Histogram,
    overhead_seconds: Histogram,
    retries: IntCounter,
    fallbacks: IntCounterVec,
    kv_params_missing: IntCounter,
    denied: IntCounterVec,
    connector: &'static str,
}

/// How a prefill/decode request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The decode engine's answer reached its end.
    Completed,
    /// The client's request could not be split.
    BadRequest,
    /// The prefill engine refused or failed, and the client got that.
    PrefillFailed,
    /// The decode engine could not be reached or broke off.
    DecodeFailed,
    /// The client left before the end.
    Cancelled,
}

impl Outcome {
    const ALL: [Self; 5] =
        [Self::Completed, Self::BadRequest, Self::PrefillFailed, Self::DecodeFailed, Self::Cancelled];

    const fn label(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::BadRequest => "bad_request",
            Self::PrefillFailed => "prefill_failed",
            Self::DecodeFailed => "decode_failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Metrics {
    /// Registers all series.
    #[must_use]
    pub fn new(registry: &Registry, connector: &'static str) -> Self {
        let counter = |name: &str, help: &str| IntCounter::new(format!("llmd_sidecar_pd_{name}"), help);
        let seconds = |name: &str, help: &str| {
            let opts = HistogramOpts::new(format!("llmd_sidecar_pd_{name}_seconds"), help);
            register(registry, Histogram::with_opts(opts.buckets(SECONDS.to_vec())))
        };
        let requests =
            Opts::new("llmd_sidecar_pd_requests_total", "Prefill/decode requests by how they ended.");
        let fallbacks = Opts::new(
            "llmd_sidecar_pd_fallback_total",
            "Prefill failures answered by another way, by reason.",
        );
        let denied = Opts::new(
            "llmd_sidecar_pd_denied_total",
            "Requests refused because their prefill endpoint is no pod of the pool, or the pool is unknown.",
        );
        let metrics = Self {
            requests: register(registry, IntCounterVec::new(requests, &["connector", "outcome"])),
            inflight: register(
                registry,
                IntGauge::new("llmd_sidecar_pd_inflight", "Prefill/decode requests in flight."),
            ),
            prefill_seconds: seconds("prefill", "Time of the prefill leg, retries included."),
            decode_ttft_seconds: seconds("decode_ttft", "From sending the decode leg to its first bytes."),
            overhead_seconds: seconds("overhead", "Time of the sidecar itself until the decode leg is sent."),
            retries: register(registry, counter("retries_total", "Prefill attempts beyond the first.")),
            fallbacks: register(registry, IntCounterVec::new(fallbacks, &["reason"])),
            kv_params_missing: register(
                registry,
                counter("kv_params_missing_total", "Prefill answers without kv_transfer_params."),
            ),
            denied: register(registry, IntCounterVec::new(denied, &["reason"])),
            connector,
        };
        for outcome in Outcome::ALL {
            let _ = metrics.requests.with_label_values(&[connector, outcome.label()]);
        }
        for reason in [NO_MEMBER, UNKNOWN] {
            let _ = metrics.denied.with_label_values(&[reason]);
        }
        metrics
    }

    /// Starts to account for one prefill/decode request.
    #[must_use]
    pub fn pd_request(&self) -> PdRequest {
        self.inflight.inc();
        PdRequest {
            metrics: self.clone(),
            started: Instant::now(),
            prefill: Duration::ZERO,
            decode_sent: None,
            is_counted: false,
        }
    }

    /// One more attempt at prefill.
    pub fn retried(&self) {
        self.retries.inc();
    }

    /// A failed prefill was made up for by another endpoint or by the decode engine.
    pub fn fell_back(&self, reason: &str) {
        self.fallbacks.with_label_values(&[reason]).inc();
    }

    /// A request named no prefill endpoint that may be called.
    pub fn denied(&self, denied: &Denied) {
        let reason = match denied {
            Denied::NoMember { .. } => NO_MEMBER,
            Denied::Unknown => UNKNOWN,
        };
        self.denied.with_label_values(&[reason]).inc();
    }

    /// A prefill answer carried no transfer parameters.
    pub fn kv_params_missing(&self) {
        self.kv_params_missing.inc();
    }
}

/// One prefill/decode request in flight. Dropped without a verdict, it counts as left by the client.
#[derive(Debug)]
pub struct PdRequest {
    metrics: Metrics,
    started: Instant,
    prefill: Duration,
    /// When the decode leg was sent, until its first bytes are here.
    decode_sent: Option<Instant>,
    is_counted: bool,
}

impl PdRequest {
    /// The prefill leg, all attempts together, took this long.
    pub fn prefilled(&mut self, took: Duration) {
        self.prefill = took;
        self.metrics.prefill_seconds.observe(took.as_secs_f64());
    }

    /// The decode leg is being sent now.
    pub fn decode_sent(&mut self) {
        self.decode_sent = Some(Instant::now());
        let overhead = self.started.elapsed().saturating_sub(self.prefill);
        self.metrics.overhead_seconds.observe(overhead.as_secs_f64());
    }

    /// A frame of the decode engine's answer goes to the client.
    pub fn frame_sent(&mut self) {
        if let Some(sent) = self.decode_sent.take() {
            self.metrics.decode_ttft_seconds.observe(sent.elapsed().as_secs_f64());
        }
    }

    /// The answer reached its end.
    pub fn ended(&mut self) {
        self.count(Outcome::Completed);
    }

    /// The decode engine's answer broke off.
    pub fn broke_off(&mut self) {
        self.count(Outcome::DecodeFailed);
    }

    /// The request is over without a decode answer.
    pub fn failed(mut self, outcome: Outcome) {
        self.count(outcome);
    }

    fn count(&mut self, outcome: Outcome) {
        if !std::mem::replace(&mut self.is_counted, true) {
            self.metrics.inflight.dec();
            self.metrics.requests.with_label_values(&[self.metrics.connector, outcome.label()]).inc();
        }
    }
}

impl Drop for PdRequest {
    fn drop(&mut self) {
        self.count(Outcome::Cancelled);
    }
}
