//! Which KV blocks are free, how often each is used, and which content hash each holds.
//!
//! Every operation is O(1). Free blocks form one doubly linked queue threaded through the block table itself,
//! with the null block 0 as its sentinel. A block keeps its hash while it is free, so a later request can take
//! it back; it loses the hash only when it is allocated for other content. Allocation takes the head: first
//! blocks that hold nothing, then the least recently freed.
//!
//! Not here: which sequence owns which blocks, and when a block's content is complete.

use std::collections::HashMap;

use llmd_kv::hash::BlockHash;

use super::BlockId;

/// The sentinel of the free queue; it is never handed out.
const NULL: BlockId = BlockId(0);

/// A fixed set of blocks. Numbers 1 to `n_blocks - 1` are usable.
#[derive(Debug)]
pub struct BlockPool {
    blocks: Vec<Block>,
    n_free: usize,
    cached: HashMap<BlockHash, BlockId>,
}

#[derive(Debug, Clone, Copy)]
struct Block {
    n_refs: u32,
    hash: Option<BlockHash>,
    /// Neighbours in the free queue; meaningful while `n_refs` is 0.
    previous: BlockId,
    next: BlockId,
}

impl BlockPool {
    /// A pool of `n_blocks` blocks including the null block, all free.
    ///
    /// # Panics
    /// When `n_blocks` is below 2 (nothing usable) or above `u32::MAX`.
    #[must_use]
    pub fn new(n_blocks: usize) -> Self {
        assert!(n_blocks >= 2, "a pool needs the null block and at least one more");
        let empty = Block { n_refs: 0, hash: None, previous: NULL, next: NULL };
        let mut pool = Self { blocks: vec![empty; n_blocks], n_free: 0, cached: HashMap::new() };
        let n_blocks = u32::try_from(n_blocks).expect("block numbers have 32 bits");
        for number in 1..n_blocks {
            pool.link_before(NULL, BlockId(number));
        }
        pool
    }

    /// Blocks that can be handed out in total.
    #[must_use]
    pub fn n_usable(&self) -> usize {
        self.blocks.len() - 1
    }

    /// Blocks nobody uses; some of them may still hold a cached prefix.
    #[must_use]
    pub fn n_free(&self) -> usize {
        self.n_free
    }

    /// Share of the usable blocks that are in use, 0 to 1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "block counts stay far below 2^53")]
    pub fn usage(&self) -> f64 {
        1.0 - self.n_free as f64 / self.n_usable() as f64
    }

    /// How many users a block has.
    #[must_use]
    pub fn n_refs(&self, id: BlockId) -> u32 {
        self.blocks[id.index()].n_refs
    }

    /// The block that holds `hash`, in use or free. Finding it does not keep it: see [`Self::acquire`].
    #[must_use]
    pub fn find(&self, hash: &BlockHash) -> Option<BlockId> {
        self.cached.get(hash).copied()
    }

    /// Takes a block for new content: its old hash is forgotten. `None` when all are in use.
    pub fn allocate(&mut self) -> Option<BlockId> {
        let id = self.blocks[NULL.index()].next;
        if id == NULL {
            return None;
        }
        self.unlink(id);
        let block = &mut self.blocks[id.index()];
        block.n_refs = 1;
        if let Some(hash) = block.hash.take() {
            self.cached.remove(&hash);
        }
        Some(id)
    }

    /// Adds a user to a block, which may be free (a cached prefix) or in use (a shared one).
    pub fn acquire(&mut self, id: BlockId) {
        debug_assert_ne!(id, NULL, "the null block has no users");
        if self.blocks[id.index()].n_refs == 0 {
            self.unlink(id);
        }
        self.blocks[id.index()].n_refs += 1;
    }

    /// Removes a user. The last one returns the block to the free queue: to its tail when it holds a cached
    /// prefix, else to its head, because nothing is lost by using it first.
    ///
    /// Release a sequence's blocks from its last to its first: tails of a prefix are then evicted before what
    /// they build on.
    ///
    /// # Panics
    /// When the block is free already.
    pub fn release(&mut self, id: BlockId) {
        let block = &mut self.blocks[id.index()];
        assert!(block.n_refs > 0, "block {} is freed twice", id.0);
        block.n_refs -= 1;
        if block.n_refs == 0 {
            let successor = if block.hash.is_some() { NULL } else { self.blocks[NULL.index()].next };
            self.link_before(successor, id);
        }
    }

    /// Records that the block in use `id` now holds `hash`. When another block holds it already that one stays
    /// the cached one, and this copy dies with its users.
    pub fn set_hash(&mut self, id: BlockId, hash: BlockHash) {
        debug_assert!(self.n_refs(id) > 0, "only a block in use gets content");
        if let std::collections::hash_map::Entry::Vacant(entry) = self.cached.entry(hash) {
            entry.insert(id);
            self.blocks[id.index()].hash = Some(hash);
        }
    }

    /// Forgets the content of every free block. Blocks in use stay findable: their users prove them valid.
    pub fn forget_free(&mut self) {
        let mut id = self.blocks[NULL.index()].next;
        while id != NULL {
            if let Some(hash) = self.blocks[id.index()].hash.take() {
                self.cached.remove(&hash);
            }
            id = self.blocks[id.index()].next;
        }
    }

    /// Inserts `id` into the free queue in front of `successor`; in front of the sentinel is the tail.
    fn link_before(&mut self, successor: BlockId, id: BlockId) {
        let previous = self.blocks[successor.index()].previous;
        self.blocks[id.index()].previous = previous;
        self.blocks[id.index()].next = successor;
        self.blocks[previous.index()].next = id;
        self.blocks[successor.index()].previous = id;
        self.n_free += 1;
    }

    fn unlink(&mut self, id: BlockId) {
        let Block { previous, next, .. } = self.blocks[id.index()];
        self.blocks[previous.index()].next = next;
        self.blocks[next.index()].previous = previous;
        self.n_free -= 1;
    }
}

#[cfg(test)]
mod tests;
