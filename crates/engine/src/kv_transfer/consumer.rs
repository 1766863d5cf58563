//! The consumer's side: pulls blocks from a prefill engine into fresh pages.
//!
//! Connections are pooled by peer. A pull writes each slice straight into the page that becomes the cache's own; it
//! ends in pages or in a [`PullError`], within a deadline, whatever the peer does.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use llmd_api::kv_transfer::{KvTransferParams, NATIVE_PROTO};
use llmd_kv::hash::BlockHash;
use lru::LruCache;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::frame::{self, Header, Message};
use super::producer::Identity;
use super::{Pull, PullError, Pulled};
use crate::kv_cache::KvPage;

/// Deadlines of a pull.
#[derive(Debug, Clone, Copy)]
pub struct PullTimes {
    /// To connect and shake hands.
    pub connect: Duration,
    /// Without a byte from the producer.
    pub idle: Duration,
    /// For the whole pull.
    pub total: Duration,
}

impl Default for PullTimes {
    fn default() -> Self {
        Self { connect: Duration::from_secs(2), idle: Duration::from_secs(5), total: Duration::from_secs(30) }
    }
}

/// Pulls running at a time; further ones wait for a place inside their deadline.
const MAX_PULLS: usize = 64;
/// Idle connections kept for a peer.
const MAX_IDLE_PER_PEER: usize = 8;
/// Peers with idle connections.
const MAX_PEERS: NonZeroUsize = NonZeroUsize::new(256).expect("256 is not zero");
/// Buffer for frame headers; slices larger than it are read straight into their page.
const READ_BUFFER: usize = 16 << 10;

/// Where an offer lives, read from `kv_transfer_params`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) engine_id: String,
    pub(super) cap: String,
    pub(super) fingerprint: String,
}

impl Source {
    /// # Errors
    /// [`PullError::Foreign`] when the parameters are not of this transport.
    pub(super) fn parse(params: &KvTransferParams) -> Result<Self, PullError> {
        if params.remote_proto.as_deref() != Some(NATIVE_PROTO) {
            return Err(PullError::Foreign);
        }
        let missing = PullError::Foreign;
        Ok(Self {
            host: params.remote_host.clone().ok_or(missing)?,
            port: params.remote_port.ok_or(missing)?,
            engine_id: params.remote_engine_id.clone().ok_or(missing)?,
            cap: params.remote_cap.clone().ok_or(missing)?,
            fingerprint: params.remote_model_fp.clone().ok_or(missing)?,
        })
    }
}

#[derive(Debug)]
struct Connection {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

/// Pulls blocks and keeps leases alive. Clones of an `Arc` share the pool.
#[derive(Debug)]
pub(super) struct Consumer {
    identity: Arc<Identity>,
    times: PullTimes,
    permits: Semaphore,
    idle: Mutex<LruCache<(String, u16), Vec<Connection>>>,
}

impl Consumer {
    pub(super) fn new(identity: Arc<Identity>, times: PullTimes) -> Self {
        let idle = Mutex::new(LruCache::new(MAX_PEERS));
        Self { identity, times, permits: Semaphore::new(MAX_PULLS), idle }
    }

    /// Pulls blocks `first_block..` of the offer, which stays until [`Self::release`].
    pub(super) async fn pull(&self, source: &Source, pull: &Pull) -> Result<Pulled, PullError> {
        let started = Instant::now();
        let pages = timeout(self.times.total, self.pull_pages(source, pull))
            .await
            .map_err(|_| PullError::Timeout)??;
        Ok(Pulled { pages, elapsed: started.elapsed() })
    }

    async fn pull_pages(&self, source: &Source, pull: &Pull) -> Result<Vec<Arc<KvPage>>, PullError> {
        let _place = self.permits.acquire().await.map_err(|_| PullError::Connection)?;
        if source.fingerprint != self.identity.fingerprint {
            return Err(PullError::Mismatch);
        }
        let hashes = pull.hashes.get(pull.first_block..).ok_or(PullError::Content)?;
        let fetch = Message::Fetch {
            cap: source.cap.clone(),
            first_block: pull.first_block,
            hashes: hashes.iter().map(BlockHash::to_string).collect(),
        };
        let (mut connection, reply) = self.exchange(source, &fetch).await?;
        let page_bytes = self.identity.layout.page_bytes();
        if reply != (Message::Granted { n_blocks: hashes.len(), page_bytes }) {
            return Err(PullError::Protocol);
        }
        let pages = self.receive_pages(&mut connection, hashes.len()).await?;
        self.put_back(source, connection);
        Ok(pages)
    }

    async fn receive_pages(
        &self,
        connection: &mut Connection,
        n_pages: usize,
    ) -> Result<Vec<Arc<KvPage>>, PullError> {
        let layout = &self.identity.layout;
        let mut pages: Vec<KvPage> = (0..n_pages).map(|_| KvPage::zeroed(layout)).collect();
        let slice_bytes = 2 * layout.half_layer_elements() * layout.dtype.size();
        for layer in 0..layout.n_layers {
            for (block_idx, page) in pages.iter_mut().enumerate() {
                let slice = &mut page.bytes_mut()[layer * slice_bytes..][..slice_bytes];
                timeout(self.times.idle, read_slice(&mut connection.reader, layer, block_idx, slice))
                    .await
                    .map_err(|_| PullError::Timeout)??;
            }
        }
        match self.receive(connection).await? {
            Message::Done => Ok(pages.into_iter().map(Arc::new).collect()),
            _ => Err(PullError::Protocol),
        }
    }

    /// Extends the offer's lease; whether the producer still has it.
    pub(super) async fn renew(&self, source: &Source) -> Result<(), PullError> {
        self.one_message(source, &Message::Renew { cap: source.cap.clone() }).await
    }

    /// Tells the producer that nobody will pull the offer.
    pub(super) async fn release(&self, source: &Source) -> Result<(), PullError> {
        self.one_message(source, &Message::Release { cap: source.cap.clone() }).await
    }

    async fn one_message(&self, source: &Source, message: &Message) -> Result<(), PullError> {
        let (connection, reply) = self.exchange(source, message).await?;
        self.put_back(source, connection);
        if reply == Message::Ok { Ok(()) } else { Err(PullError::Protocol) }
    }

    /// Sends a message and returns the answer with the connection that brought it.
    ///
    /// A pooled connection may have been closed by the producer in the meantime. Messages may arrive twice without
    /// harm, so that costs no more than another connection; only a fresh one that breaks is an error.
    async fn exchange(&self, source: &Source, message: &Message) -> Result<(Connection, Message), PullError> {
        while let Some(mut connection) = self.take_idle(source) {
            match self.request(&mut connection, message).await {
                Err(PullError::Connection) => {}
                reply => return Ok((connection, reply?)),
            }
        }
        let connected = timeout(self.times.connect, self.connect(source)).await;
        let mut connection = connected.map_err(|_| PullError::Timeout)??;
        let reply = self.request(&mut connection, message).await?;
        Ok((connection, reply))
    }

    async fn request(&self, connection: &mut Connection, message: &Message) -> Result<Message, PullError> {
        timeout(self.times.idle, frame::send(&mut connection.writer, message))
            .await
            .map_err(|_| PullError::Timeout)?
            .map_err(|_| PullError::Connection)?;
        self.receive(connection).await
    }

    async fn receive(&self, connection: &mut Connection) -> Result<Message, PullError> {
        let reply = timeout(self.times.idle, frame::expect_message(&mut connection.reader)).await;
        match reply.map_err(|_| PullError::Timeout)?? {
            Message::Refused { reason, .. } => Err(PullError::from_reason(&reason)),
            message => Ok(message),
        }
    }

    /// A new connection, after the handshake.
    async fn connect(&self, source: &Source) -> Result<Connection, PullError> {
        let stream = TcpStream::connect((source.host.as_str(), source.port))
            .await
            .map_err(|_| PullError::Connection)?;
        stream.set_nodelay(true).map_err(|_| PullError::Connection)?;
        let (reader, writer) = stream.into_split();
        let mut connection = Connection { reader: BufReader::with_capacity(READ_BUFFER, reader), writer };
        let hello = self.request(&mut connection, &self.identity.hello()).await?;
        // Another engine at the same address means that the producer restarted and its offers are gone.
        if self.identity.check_hello(&hello)? != source.engine_id {
            return Err(PullError::Unknown);
        }
        Ok(connection)
    }

    fn take_idle(&self, source: &Source) -> Option<Connection> {
        self.idle.lock().get_mut(&(source.host.clone(), source.port))?.pop()
    }

    fn put_back(&self, source: &Source, connection: Connection) {
        let mut idle = self.idle.lock();
        let connections = idle.get_or_insert_mut((source.host.clone(), source.port), Vec::new);
        if connections.len() < MAX_IDLE_PER_PEER {
            connections.push(connection);
        }
    }
}

async fn read_slice(
    reader: &mut BufReader<OwnedReadHalf>,
    layer: usize,
    block_idx: usize,
    slice: &mut [u8],
) -> Result<(), PullError> {
    match frame::read_header(reader, slice.len()).await? {
        Some(Header::Page { len }) if len == slice.len() => {}
        Some(_) => return Err(PullError::Protocol),
        None => return Err(PullError::Connection),
    }
    let (at_layer, at_block) = frame::read_page_position(reader).await?;
    if (at_layer as usize, at_block as usize) != (layer, block_idx) {
        return Err(PullError::Protocol);
    }
    reader.read_exact(slice).await.map_err(|_| PullError::Connection)?;
    Ok(())
}
