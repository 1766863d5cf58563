//! The engine thread's part in KV transfer: when to pull, what to do with what arrives, what to offer.

use llmd_api::kv_transfer::KvTransferParams;

use super::stream::Stream;
use super::thread::EngineThread;
use crate::kv_transfer::{Offer, OfferedBlock, Pull, PullError, Pulled};
use crate::request::SequenceId;
use crate::scheduler::PullOrder;

impl EngineThread {
    /// Whether a new sequence is to be filled by another engine. Keeps that engine's lease alive meanwhile.
    pub(super) fn awaits_remote_prefill(
        &mut self,
        id: SequenceId,
        params: Option<&KvTransferParams>,
    ) -> bool {
        let Some(params) = params.filter(|it| it.do_remote_prefill) else { return false };
        let Some(connector) = &mut self.parts.connector else {
            tracing::warn!("a request names KV blocks of another engine, but KV transfer is not configured");
            return false;
        };
        connector.keep_alive(id, params);
        true
    }

    /// Asks for the blocks the local cache does not have.
    pub(super) fn start_pull(&mut self, order: PullOrder) {
        let PullOrder { id, first_block, hashes } = order;
        let block_size = self.parts.scheduler.cache().block_size();
        let params = self.streams.get(&id).and_then(|it| it.kv_transfer.clone());
        let (Some(params), Some(connector)) = (params, &mut self.parts.connector) else {
            return self.end_pull(id, Err(PullError::Foreign));
        };
        let n_queried = self.parts.scheduler.tokens(id).len() - first_block * block_size;
        self.parts.metrics.external_cache_queries.inc_by(n_queried as u64);
        if let Err(error) = connector.pull(Pull { id, params, hashes, first_block }) {
            self.end_pull(id, Err(error));
        }
    }

    /// A pull ended: fills the blocks, or leaves them to be computed. One whose sequence is gone changes
    /// nothing: its blocks went back to the pool with the sequence.
    pub(super) fn end_pull(&mut self, id: SequenceId, result: Result<Pulled, PullError>) {
        let parts = &mut self.parts;
        let Some(blocks) = parts.scheduler.blocks_to_fill(id) else { return };
        let pages = match result {
            Ok(pulled) if pulled.pages.len() == blocks.len() => Some(pulled.pages),
            Ok(pulled) => {
                let (n_pages, n_blocks) = (pulled.pages.len(), blocks.len());
                tracing::error!(n_pages, n_blocks, "a pull brought the wrong number of pages; it is ignored");
                None
            }
            // Counted and logged where it failed.
            Err(_) => None,
        };
        let is_filled = pages.is_some();
        for (&block, page) in blocks.iter().zip(pages.into_iter().flatten()) {
            parts.runner.write_block(block, page);
        }
        let Some(admission) = parts.scheduler.end_pull(id, is_filled) else { return };
        parts.metrics.external_cache_hits.inc_by(admission.n_transferred as u64);
        self.note_admission(admission);
    }

    /// The other engine's blocks are not needed.
    pub(super) fn release_remote(&mut self, id: SequenceId) {
        if let Some(connector) = &mut self.parts.connector {
            connector.release(id);
        }
    }

    /// No sequence will pull the blocks that `params` name.
    pub(super) fn decline_remote(&mut self, id: SequenceId, params: &KvTransferParams) {
        if self.awaits_remote_prefill(id, Some(params)) {
            self.release_remote(id);
        }
    }

    /// The sequence ended before another engine's blocks arrived.
    pub(super) fn cancel_remote(&mut self, id: SequenceId) {
        if let Some(connector) = &mut self.parts.connector {
            connector.cancel(id);
        }
    }

    /// Offers the prompt's blocks to a decode engine when the request asked for it, and pins them. Returns what
    /// the decode engine needs to find them.
    pub(super) fn offer_prompt(&mut self, id: SequenceId, stream: &Stream) -> Option<KvTransferParams> {
        if !stream.offers_blocks() {
            return None;
        }
        let parts = &mut self.parts;
        let connector = parts.connector.as_mut()?;
        let blocks = parts.scheduler.prompt_blocks(id)?;
        let blocks = blocks
            .into_iter()
            .map(|(id, hash)| OfferedBlock { id, hash, page: parts.runner.read_block(id) })
            .collect();
        let n_tokens = u32::try_from(stream.n_prompt).expect("prompts are shorter than the context");
        let (lease, params) =
            connector.offer(Offer { request_id: stream.request_id.clone(), n_tokens, blocks });
        parts.scheduler.pin_prompt(id, lease);
        Some(params)
    }
}
