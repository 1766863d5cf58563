//! Moving a prompt's KV cache from the engine that computed it to the engine that decodes.
//!
//! The engine thread talks to [`KvConnector`]; everything behind it is asynchronous and reports back as
//! [`TransferEvent`] on the engine's command channel. Blocks are named by content hash and guarded by a
//! capability, so a stale or forged reference ends in recomputation and never in another prompt's text.

pub mod fingerprint;
pub mod metrics;
pub mod native;

mod consumer;
mod frame;
mod lease;
mod producer;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use llmd_api::kv_transfer::KvTransferParams;
use llmd_kv::hash::BlockHash;

use crate::kv_cache::{BlockId, KvPage};
use crate::request::SequenceId;

/// Blocks of a finished prefill, offered to a decode engine.
#[derive(Debug)]
pub struct Offer {
    /// The client's request id.
    pub request_id: String,
    /// Prompt tokens covered by `blocks`; the last block may be partial.
    pub n_tokens: u32,
    /// Block number, chained content hash and content, from position 0.
    pub blocks: Vec<OfferedBlock>,
}

/// One block of an [`Offer`].
#[derive(Debug, Clone)]
pub struct OfferedBlock {
    /// Number on this engine; informative on the wire.
    pub id: BlockId,
    /// Hash of the block's tokens chained to all before it; a partial block hashes the tokens it has.
    pub hash: BlockHash,
    /// The content, shared with the cache.
    pub page: Arc<KvPage>,
}

/// Names one offer for as long as its blocks are pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseId(pub u64);

/// What a sequence needs from another engine.
#[derive(Debug)]
pub struct Pull {
    /// The sequence that waits.
    pub id: SequenceId,
    /// As they came with the request.
    pub params: KvTransferParams,
    /// Hashes of all the prompt's blocks, the last one possibly partial.
    pub hashes: Vec<BlockHash>,
    /// Blocks before this index are in the local cache already.
    pub first_block: usize,
}

/// Why blocks did not arrive. The label of the failure counter is [`PullError::reason`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PullError {
    /// The parameters lack what the native transport needs, or come from another kind of engine.
    #[error("the parameters are not those of an llmd engine of this version")]
    Foreign,
    /// The producer runs another model or cache layout.
    #[error(
        "the producer runs another model or another cache layout; start both with the same model, --dtype, \
         --block-size and --kv-cache-dtype"
    )]
    Mismatch,
    /// The producer does not know the capability: expired, released or forged.
    #[error("the producer has no such blocks (any more)")]
    Unknown,
    /// The producer's blocks hold other tokens than this prompt.
    #[error("the producer's blocks hold another prompt, or its PYTHONHASHSEED differs")]
    Content,
    /// The connection failed or was reset.
    #[error("the connection failed")]
    Connection,
    /// The deadline passed.
    #[error("the producer did not answer in time")]
    Timeout,
    /// A frame was damaged or out of order.
    #[error("the producer broke the protocol")]
    Protocol,
    /// The sequence was aborted.
    #[error("the sequence was aborted")]
    Cancelled,
}

impl PullError {
    /// Every value, for labels that must exist from the start.
    pub const ALL: [Self; 8] = [
        Self::Foreign,
        Self::Mismatch,
        Self::Unknown,
        Self::Content,
        Self::Connection,
        Self::Timeout,
        Self::Protocol,
        Self::Cancelled,
    ];

    /// Reads a label; one that this version does not know is a protocol error.
    fn from_reason(reason: &str) -> Self {
        Self::ALL.into_iter().find(|it| it.reason() == reason).unwrap_or(Self::Protocol)
    }

    /// Stable label.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Foreign => "foreign",
            Self::Mismatch => "mismatch",
            Self::Unknown => "unknown",
            Self::Content => "content",
            Self::Connection => "connection",
            Self::Timeout => "timeout",
            Self::Protocol => "protocol",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Pages that arrived, for blocks `first_block..` of the pull.
#[derive(Debug)]
pub struct Pulled {
    /// In block order.
    pub pages: Vec<Arc<KvPage>>,
    /// From the request to the last byte.
    pub elapsed: Duration,
}

/// News from the transfer tasks to the engine thread.
#[derive(Debug)]
pub enum TransferEvent {
    /// A pull ended, one way or the other. Exactly one for each accepted [`KvConnector::pull`].
    PullEnded {
        /// The sequence that waits.
        id: SequenceId,
        /// Pages, or why there are none.
        result: Result<Pulled, PullError>,
    },
    /// Nobody will read the offer any more: unpin its blocks. Exactly one for each [`KvConnector::offer`].
    LeaseEnded {
        /// The offer.
        lease: LeaseId,
    },
}

/// The engine thread's side of KV transfer. No method blocks.
pub trait KvConnector: Send {
    /// Publishes blocks under a new lease and returns what the decode engine needs to find them.
    fn offer(&mut self, offer: Offer) -> (LeaseId, KvTransferParams);

    /// The sequence waits in the queue: keeps the producer's lease alive until [`KvConnector::pull`],
    /// [`KvConnector::cancel`] or [`KvConnector::release`]. Called once, when the sequence is queued.
    fn keep_alive(&mut self, id: SequenceId, params: &KvTransferParams);

    /// Starts a pull; its end arrives as [`TransferEvent::PullEnded`].
    ///
    /// # Errors
    /// When it is clear at once that nothing can be pulled; no event follows then.
    fn pull(&mut self, pull: Pull) -> Result<(), PullError>;

    /// The sequence was aborted while it waited or pulled. A running pull still reports its end; the producer's
    /// lease is released.
    fn cancel(&mut self, id: SequenceId);

    /// The producer's blocks are not needed: all of them are here already.
    fn release(&mut self, id: SequenceId);
}
