//! The native transport over TCP behind [`KvConnector`].
//!
//! Methods run on the engine thread and never block: they start tasks on the server's runtime. Leases are renewed from
//! tasks of their own, so a busy engine does not lose what it waits for.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use llmd_api::kv_transfer::{KvTransferParams, NATIVE_MODE, NATIVE_PROTO};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::consumer::{Consumer, Source};
use super::lease::LeaseTable;
use super::metrics::TransferMetrics;
use super::producer::{Identity, Producer};
use super::{KvConnector, LeaseId, Offer, Pull, PullError, TransferEvent};
use crate::kv_cache::KvLayout;
use crate::request::{Command, SequenceId};

pub use super::consumer::PullTimes;
pub use super::lease::LeaseTimes;

/// A sixth of the lease, as vLLM's decode engines do.
const RENEWALS_PER_LEASE: u32 = 6;
/// Ten leases' time. Two engines that prefill for each other can fill both caches with blocks that the other's queue
/// waits for; a lease that ends lets one of them go on, and the other computes what it waited for.
const MAX_RENEWALS: u32 = 10 * RENEWALS_PER_LEASE;

/// How to set up the transport.
#[derive(Debug, Clone)]
pub struct NativeConfig {
    /// Address to listen on, and the host that peers are told.
    pub host: String,
    /// Port to listen on; 0 takes a free one.
    pub port: u16,
    /// Unique for the life of this process.
    pub engine_id: String,
    /// See [`super::fingerprint`].
    pub fingerprint: String,
    /// Geometry of the cache.
    pub layout: KvLayout,
    /// Of offers made here.
    pub lease: LeaseTimes,
    /// Of pulls made here.
    pub pull: PullTimes,
}

/// Offers blocks on a listener and pulls blocks from others.
#[derive(Debug)]
pub struct NativeConnector {
    runtime: Handle,
    identity: Arc<Identity>,
    host: String,
    port: u16,
    leases: Arc<LeaseTable>,
    next_lease: u64,
    renew_interval: Duration,
    consumer: Arc<Consumer>,
    commands: mpsc::Sender<Command>,
    metrics: TransferMetrics,
    /// Sequences in the queue whose leases are being renewed.
    waiting: HashMap<SequenceId, Waiting>,
    /// Pulls that may still run; finished ones are swept when the next one starts.
    running: HashMap<SequenceId, Running>,
}

#[derive(Debug)]
struct Waiting {
    source: Source,
    renewals: AbortHandle,
}

#[derive(Debug)]
struct Running {
    cancel: CancellationToken,
    task: AbortHandle,
}

impl NativeConnector {
    /// Opens the listener and serves it on the current runtime until `stop` fires. Events go to `commands`.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(
        config: NativeConfig,
        commands: mpsc::Sender<Command>,
        metrics: TransferMetrics,
        stop: CancellationToken,
    ) -> io::Result<Self> {
        let NativeConfig { host, port, engine_id, fingerprint, layout, lease, pull } = config;
        let listener = TcpListener::bind((host.as_str(), port)).await?;
        let port = listener.local_addr()?.port();
        tracing::info!(%host, port, engine_id, "KV transfer listens");
        let identity = Arc::new(Identity { engine_id, fingerprint, layout });
        let leases = Arc::new(LeaseTable::new(lease));
        let producer = Producer {
            identity: Arc::clone(&identity),
            leases: Arc::clone(&leases),
            commands: commands.clone(),
            stop,
            leased_blocks: metrics.leased_blocks.clone(),
        };
        let runtime = Handle::current();
        runtime.spawn(producer.run(listener));
        Ok(Self {
            runtime,
            consumer: Arc::new(Consumer::new(Arc::clone(&identity), pull)),
            identity,
            host,
            port,
            leases,
            next_lease: 0,
            renew_interval: lease.duration / RENEWALS_PER_LEASE,
            commands,
            metrics,
            waiting: HashMap::new(),
            running: HashMap::new(),
        })
    }

    /// Port of the listener.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Stops the renewals of a sequence and says where its blocks are.
    fn stop_waiting(&mut self, id: SequenceId) -> Option<Source> {
        let Waiting { source, renewals } = self.waiting.remove(&id)?;
        renewals.abort();
        Some(source)
    }

    fn release_source(&self, source: Source) {
        let consumer = Arc::clone(&self.consumer);
        self.runtime.spawn(async move { release(&consumer, &source).await });
    }
}

impl KvConnector for NativeConnector {
    fn offer(&mut self, offer: Offer) -> (LeaseId, KvTransferParams) {
        let Offer { request_id, n_tokens, blocks } = offer;
        self.next_lease += 1;
        let lease = LeaseId(self.next_lease);
        let block_ids: Vec<u32> = blocks.iter().map(|it| it.id.0).collect();
        let capability = self.leases.insert(lease, blocks, Instant::now());
        self.metrics.offers.inc();
        let params = KvTransferParams {
            do_remote_prefill: true,
            remote_engine_id: Some(self.identity.engine_id.clone()),
            remote_block_ids: Some(serde_json::json!([block_ids])),
            remote_request_id: Some(request_id),
            remote_host: Some(self.host.clone()),
            remote_port: Some(self.port),
            tp_size: Some(1),
            remote_num_tokens: Some(n_tokens),
            transfer_mode: Some(NATIVE_MODE.to_owned()),
            remote_proto: Some(NATIVE_PROTO.to_owned()),
            remote_cap: Some(capability.0),
            remote_model_fp: Some(self.identity.fingerprint.clone()),
            ..KvTransferParams::default()
        };
        (lease, params)
    }

    fn keep_alive(&mut self, id: SequenceId, params: &KvTransferParams) {
        let Ok(source) = Source::parse(params) else { return };
        let (consumer, interval) = (Arc::clone(&self.consumer), self.renew_interval);
        let renewed = source.clone();
        let renewals = self.runtime.spawn(async move {
            for _ in 0..MAX_RENEWALS {
                tokio::time::sleep(interval).await;
                if let Err(PullError::Unknown) = consumer.renew(&renewed).await {
                    return;
                }
            }
        });
        self.waiting.insert(id, Waiting { source, renewals: renewals.abort_handle() });
    }

    fn pull(&mut self, pull: Pull) -> Result<(), PullError> {
        let source = match self.stop_waiting(pull.id) {
            Some(source) => source,
            None => Source::parse(&pull.params)
                .inspect_err(|&error| note_failure(&self.metrics, pull.id, &pull.params, error))?,
        };
        self.running.retain(|_, it| !it.task.is_finished());
        let cancel = CancellationToken::new();
        let (id, cancelled) = (pull.id, cancel.clone());
        let (consumer, commands, metrics) =
            (Arc::clone(&self.consumer), self.commands.clone(), self.metrics.clone());
        let page_bytes = self.identity.layout.page_bytes();
        let task = self.runtime.spawn(async move {
            let result = tokio::select! {
                () = cancelled.cancelled() => Err(PullError::Cancelled),
                result = consumer.pull(&source, &pull) => result,
            };
            match &result {
                Ok(pulled) => {
                    metrics.blocks.inc_by(pulled.pages.len() as u64);
                    metrics.bytes.inc_by((pulled.pages.len() * page_bytes) as u64);
                    metrics.seconds.inc_by(pulled.elapsed.as_secs_f64());
                }
                Err(error) => note_failure(&metrics, id, &pull.params, *error),
            }
            let event = Command::Transfer(TransferEvent::PullEnded { id, result });
            // A closed channel means that the engine thread is gone and nobody waits.
            let _: Result<(), _> = commands.send(event).await;
            release(&consumer, &source).await;
        });
        self.running.insert(id, Running { cancel, task: task.abort_handle() });
        Ok(())
    }

    fn cancel(&mut self, id: SequenceId) {
        if let Some(source) = self.stop_waiting(id) {
            self.release_source(source);
        }
        if let Some(running) = self.running.remove(&id) {
            running.cancel.cancel();
        }
    }

    fn release(&mut self, id: SequenceId) {
        if let Some(source) = self.stop_waiting(id) {
            self.release_source(source);
        }
    }
}

/// Counts a pull that brought nothing, and says why when the prompt is computed instead.
fn note_failure(metrics: &TransferMetrics, id: SequenceId, params: &KvTransferParams, error: PullError) {
    metrics.failure(error).inc();
    if error == PullError::Cancelled {
        return;
    }
    tracing::warn!(
        %error,
        engine = params.remote_engine_id.as_deref().unwrap_or_default(),
        host = params.remote_host.as_deref().unwrap_or_default(),
        port = params.remote_port.unwrap_or_default(),
        sequence = id.0,
        "cannot pull KV blocks; the prompt is computed here"
    );
}

/// Best effort: an unreachable producer frees its blocks when the lease expires.
async fn release(consumer: &Consumer, source: &Source) {
    if let Err(error) = consumer.release(source).await {
        tracing::debug!(reason = error.reason(), "the producer keeps its blocks until the lease expires");
    }
}
