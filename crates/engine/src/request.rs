//! What crosses from the async server to the engine thread.

use std::time::Instant;

use llmd_api::kv_transfer::KvTransferParams;
use tokio::sync::mpsc;

use crate::kv_transfer::TransferEvent;
use crate::output::EngineOutput;
use crate::sampling::SamplingParams;

/// Identifies one sequence inside an engine for the life of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SequenceId(pub u64);

/// One sequence to generate: a prompt, how to sample from it, and where its tokens go.
///
/// A client request with `n` choices or several prompts becomes several of these.
#[derive(Debug)]
pub struct EngineRequest {
    /// Unique in this process; given out by the server.
    pub id: SequenceId,
    /// The client's request id, for logs and KV transfer.
    pub request_id: String,
    /// Prompt token ids, at least one, fewer than `max_model_len`.
    pub prompt: Vec<u32>,
    /// Checked sampling parameters.
    pub sampling: SamplingParams,
    /// Extra key of the first block hash, so that tenants do not share cached blocks.
    pub cache_salt: Option<String>,
    /// Lower runs earlier under the priority policy.
    pub priority: i32,
    /// Prefill/decode hand-over, when the request is one leg of it.
    pub kv_transfer: Option<KvTransferParams>,
    /// When the server accepted the request.
    pub arrival: Instant,
    /// Receives every [`EngineOutput`] of the sequence. Its capacity holds the whole answer (tokens left plus
    /// a few), so the engine thread never waits; a closed receiver means the client is gone.
    pub outputs: mpsc::Sender<EngineOutput>,
}

/// Commands to the engine thread, over one bounded channel. When it is full the server answers 503.
#[derive(Debug)]
pub enum Command {
    /// Queue a sequence.
    Add(Box<EngineRequest>),
    /// Forget a sequence: its client is gone or has what it needs. Unknown ids are ignored.
    Abort(SequenceId),
    /// The server found a stop string: the sequence ends with `stop`.
    Finish(SequenceId),
    /// The server refused a request before it became a sequence: the engine that holds its KV blocks may free
    /// them. The id is one that no sequence has.
    Decline(SequenceId, Box<KvTransferParams>),
    /// News from KV transfer.
    Transfer(TransferEvent),
    /// Drop all cached prefixes that no running sequence uses.
    ResetPrefixCache,
    /// End every sequence with `abort`, then the thread.
    Stop,
}

/// Commands that may wait for the engine thread.
const COMMAND_CAPACITY: usize = 4096;

/// The command channel. It is made before the engine, because KV transfer reports over it too: pass the receiver to
/// `Engine::spawn` and clones of the sender to the server and to the connector.
#[must_use]
pub fn command_channel() -> (mpsc::Sender<Command>, mpsc::Receiver<Command>) {
    mpsc::channel(COMMAND_CAPACITY)
}
