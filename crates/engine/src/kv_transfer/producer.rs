//! The producer's side: a listener that serves offered blocks to decode engines.
//!
//! One task a connection. Pages are sent straight from the cache, without copying; a peer that stops reading is cut
//! off after a deadline, and the lease it held simply expires.

use std::sync::Arc;
use std::time::{Duration, Instant};

use llmd_api::kv_transfer::NATIVE_PROTO;
use llmd_kv::hash::BlockHash;
use prometheus::IntGauge;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, BufWriter};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::frame::{self, Message};
use super::lease::{Capability, LeaseTable};
use super::{LeaseId, OfferedBlock, PullError, TransferEvent};
use crate::kv_cache::KvLayout;
use crate::request::Command;

/// Connections served at a time; further ones wait in the kernel's backlog. Every decode engine keeps a few idle ones.
const MAX_CONNECTIONS: usize = 1024;
/// A peer that takes nothing for this long is cut off.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// A pooled connection may be idle for this long between messages; the peer opens another when it needs one.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How often expired leases are collected.
const SWEEP_INTERVAL: Duration = Duration::from_millis(500);
/// Page bytes gathered before a system call.
const WRITE_BUFFER: usize = 256 << 10;

/// Who this engine is, as peers see it.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) engine_id: String,
    pub(super) fingerprint: String,
    pub(super) layout: KvLayout,
}

impl Identity {
    pub(super) fn hello(&self) -> Message {
        Message::Hello {
            proto: NATIVE_PROTO.to_owned(),
            engine_id: self.engine_id.clone(),
            fingerprint: self.fingerprint.clone(),
        }
    }

    /// Whether a peer that says `message` shares protocol, model and layout.
    pub(super) fn check_hello(&self, message: &Message) -> Result<String, PullError> {
        match message {
            Message::Hello { proto, .. } if proto != NATIVE_PROTO => Err(PullError::Foreign),
            Message::Hello { fingerprint, .. } if *fingerprint != self.fingerprint => {
                Err(PullError::Mismatch)
            }
            Message::Hello { engine_id, .. } => Ok(engine_id.clone()),
            Message::Refused { reason, .. } => Err(PullError::from_reason(reason)),
            _ => Err(PullError::Protocol),
        }
    }
}

/// Serves offers until `stop` fires, then ends every lease.
#[derive(Debug, Clone)]
pub(super) struct Producer {
    pub(super) identity: Arc<Identity>,
    pub(super) leases: Arc<LeaseTable>,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) stop: CancellationToken,
    pub(super) leased_blocks: IntGauge,
}

impl Producer {
    /// Accepts connections and expires leases.
    pub(super) async fn run(self, listener: TcpListener) {
        let connections = TaskTracker::new();
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut sweep = tokio::time::interval(SWEEP_INTERVAL);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => break,
                _ = sweep.tick() => {
                    self.end_leases(self.leases.expire(Instant::now())).await;
                    self.leased_blocks.set(self.leases.n_blocks());
                }
                accepted = accept(&listener, &permits) => {
                    let Some((stream, permit)) = accepted else { continue };
                    let producer = self.clone();
                    connections.spawn(async move {
                        tokio::select! {
                            () = producer.stop.cancelled() => {}
                            result = producer.connection(stream) => {
                                if let Err(error) = result {
                                    tracing::debug!(reason = error.reason(), "KV transfer connection ended");
                                }
                            }
                        }
                        drop(permit);
                    });
                }
            }
        }
        connections.close();
        connections.wait().await;
        self.end_leases(self.leases.clear()).await;
    }

    async fn end_leases(&self, ended: Vec<LeaseId>) {
        for lease in ended {
            let event = Command::Transfer(TransferEvent::LeaseEnded { lease });
            // A closed channel means that the engine thread is gone and its pins with it.
            let _: Result<(), _> = self.commands.send(event).await;
        }
    }

    async fn connection(&self, stream: TcpStream) -> Result<(), PullError> {
        stream.set_nodelay(true).map_err(|_| PullError::Connection)?;
        let (reader, writer) = stream.into_split();
        let mut reader = BufReader::new(reader);
        let mut writer = BufWriter::with_capacity(WRITE_BUFFER, writer);
        self.handshake(&mut reader, &mut writer).await?;
        loop {
            let message = match timeout(IDLE_TIMEOUT, frame::expect_message(&mut reader)).await {
                Ok(Ok(message)) => message,
                // The peer closed between two fetches, or has not needed the connection for long.
                Ok(Err(PullError::Connection)) | Err(_) => return Ok(()),
                Ok(Err(error)) => return Err(error),
            };
            self.answer(message, &mut writer).await?;
        }
    }

    async fn handshake<R, W>(&self, reader: &mut R, writer: &mut W) -> Result<(), PullError>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let hello =
            timeout(WRITE_TIMEOUT, frame::expect_message(reader)).await.map_err(|_| PullError::Timeout)??;
        match self.identity.check_hello(&hello) {
            Ok(_) => send(writer, &self.identity.hello()).await,
            Err(error) => {
                let detail = format!("this engine is {:?}", self.identity.hello());
                send(writer, &refusal(error, detail)).await?;
                Err(error)
            }
        }
    }

    async fn answer<W: AsyncWrite + Unpin>(&self, message: Message, writer: &mut W) -> Result<(), PullError> {
        match message {
            Message::Fetch { cap, first_block, hashes } => match self.lookup(cap, first_block, &hashes) {
                Ok(blocks) => self.send_pages(&blocks, writer).await,
                Err(error) => send(writer, &refusal(error, String::new())).await,
            },
            Message::Renew { cap } => {
                let alive = self.leases.renew(&Capability(cap), Instant::now());
                let reply = if alive { Message::Ok } else { refusal(PullError::Unknown, String::new()) };
                send(writer, &reply).await
            }
            Message::Release { cap } => {
                self.end_leases(self.leases.release(&Capability(cap)).into_iter().collect()).await;
                send(writer, &Message::Ok).await
            }
            Message::Hello { .. }
            | Message::Granted { .. }
            | Message::Refused { .. }
            | Message::Done
            | Message::Ok => Err(PullError::Protocol),
        }
    }

    fn lookup(
        &self,
        cap: String,
        first_block: usize,
        hashes: &[String],
    ) -> Result<Vec<OfferedBlock>, PullError> {
        let hashes: Vec<BlockHash> =
            hashes.iter().map(|it| it.parse().map_err(|_| PullError::Protocol)).collect::<Result<_, _>>()?;
        self.leases.read(&Capability(cap), first_block, &hashes, Instant::now())
    }

    /// Sends the pages layer by layer, so that a consumer could begin with the first layer while the last one travels.
    async fn send_pages<W: AsyncWrite + Unpin>(
        &self,
        blocks: &[OfferedBlock],
        writer: &mut W,
    ) -> Result<(), PullError> {
        let layout = &self.identity.layout;
        send(writer, &Message::Granted { n_blocks: blocks.len(), page_bytes: layout.page_bytes() }).await?;
        let slice_bytes = 2 * layout.half_layer_elements() * layout.dtype.size();
        for layer in 0..layout.n_layers {
            for (block_idx, block) in blocks.iter().enumerate() {
                let slice = &block.page.bytes()[layer * slice_bytes..][..slice_bytes];
                timeout(WRITE_TIMEOUT, send_slice(writer, layer, block_idx, slice))
                    .await
                    .map_err(|_| PullError::Timeout)?
                    .map_err(|_| PullError::Connection)?;
            }
        }
        send(writer, &Message::Done).await
    }
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _peer)) => Some((stream, permit)),
        Err(error) => {
            // Out of file descriptors is the usual cause: give connections time to end.
            tracing::warn!(%error, "cannot accept a KV transfer connection");
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

async fn send_slice<W: AsyncWrite + Unpin>(
    writer: &mut W,
    layer: usize,
    block_idx: usize,
    slice: &[u8],
) -> std::io::Result<()> {
    let as_u32 = |n: usize| u32::try_from(n).map_err(|_| std::io::Error::other("more than 2^32 blocks"));
    writer.write_all(&frame::page_prefix(as_u32(layer)?, as_u32(block_idx)?, slice.len())?).await?;
    writer.write_all(slice).await
}

async fn send<W: AsyncWrite + Unpin>(writer: &mut W, message: &Message) -> Result<(), PullError> {
    timeout(WRITE_TIMEOUT, frame::send(writer, message))
        .await
        .map_err(|_| PullError::Timeout)?
        .map_err(|_| PullError::Connection)
}

fn refusal(error: PullError, detail: String) -> Message {
    Message::Refused { reason: error.reason().to_owned(), detail }
}
