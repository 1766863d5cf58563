//! Which sequence owns which KV blocks: prefix reuse, growth, release and pins for KV transfer.
//!
//! A sequence's blocks are a [`BlockTable`], filled and emptied here alone. A prefix is reused in whole blocks
//! and never the whole sequence, because the last token must be computed for its logits; so a shared block is
//! full and is never written. A block becomes findable when the KV of all its tokens is in it, not before.
//!
//! Blocks offered to a decode engine are pinned under their lease: the prompt stays in the cache although its
//! sequence is gone.

use std::collections::HashMap;

use llmd_kv::hash::{BlockHash, BlockHasher};

use super::BlockId;
use super::block_pool::BlockPool;
use crate::kv_transfer::LeaseId;

/// The KV blocks of one sequence, from position 0.
#[derive(Debug, Default)]
pub struct BlockTable {
    blocks: Vec<BlockId>,
    /// Hashes of the full blocks of the tokens known so far; may run ahead of `blocks`.
    hashes: Vec<BlockHash>,
    /// Leading blocks whose content is complete and published under its hash.
    n_published: usize,
    cache_salt: Option<String>,
}

impl BlockTable {
    /// An empty table of a sequence with this cache salt.
    #[must_use]
    pub const fn new(cache_salt: Option<String>) -> Self {
        Self { blocks: Vec::new(), hashes: Vec::new(), n_published: 0, cache_salt }
    }

    /// The blocks, in order of positions.
    #[must_use]
    pub fn blocks(&self) -> &[BlockId] {
        &self.blocks
    }
}

/// Hands out blocks to sequences and finds prefixes.
#[derive(Debug)]
pub struct KvCacheManager {
    pool: BlockPool,
    block_size: usize,
    hasher: BlockHasher,
    prefix_caching: bool,
    pins: HashMap<LeaseId, Vec<BlockId>>,
}

impl KvCacheManager {
    /// An empty cache of `n_blocks` blocks (the null block included) of `block_size` tokens.
    ///
    /// # Panics
    /// When `block_size` is 0 or `n_blocks` below 2.
    #[must_use]
    pub fn new(n_blocks: usize, block_size: usize, hasher: BlockHasher, prefix_caching: bool) -> Self {
        assert!(block_size > 0, "a block holds at least one token");
        Self { pool: BlockPool::new(n_blocks), block_size, hasher, prefix_caching, pins: HashMap::new() }
    }

    /// Tokens a block.
    #[must_use]
    pub const fn block_size(&self) -> usize {
        self.block_size
    }

    /// Tokens that fit when one sequence has the whole cache.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.pool.n_usable() * self.block_size
    }

    /// Blocks that can be handed out in total.
    #[must_use]
    pub fn n_usable(&self) -> usize {
        self.pool.n_usable()
    }

    /// Share of the blocks in use, 0 to 1.
    #[must_use]
    pub fn usage(&self) -> f64 {
        self.pool.usage()
    }

    /// Blocks pinned by leases; one that several leases pin counts for each.
    #[must_use]
    pub fn n_pinned(&self) -> usize {
        self.pins.values().map(Vec::len).sum()
    }

    /// Cached blocks at the start of `tokens`, in order: whole blocks, and at least one token is left over.
    pub fn find_prefix(&self, table: &mut BlockTable, tokens: &[u32]) -> Vec<BlockId> {
        if !self.prefix_caching {
            return Vec::new();
        }
        let n_reusable = tokens.len().saturating_sub(1) / self.block_size;
        self.extend_hashes(table, tokens, n_reusable);
        table.hashes[..n_reusable].iter().map_while(|hash| self.pool.find(hash)).collect()
    }

    /// Gives an empty `table` the cached blocks `prefix` and new ones up to `n_tokens` tokens, when that leaves
    /// `n_reserved` blocks free. Otherwise nothing changes and the answer is false.
    #[must_use]
    pub fn admit(
        &mut self,
        table: &mut BlockTable,
        prefix: &[BlockId],
        n_tokens: usize,
        n_reserved: usize,
    ) -> bool {
        debug_assert!(table.blocks.is_empty(), "a sequence is admitted without blocks");
        let n_shared = prefix.iter().filter(|id| self.pool.n_refs(**id) > 0).count();
        let n_needed = n_tokens.div_ceil(self.block_size) - n_shared;
        if n_needed + n_reserved > self.pool.n_free() {
            return false;
        }
        for &id in prefix {
            self.pool.acquire(id);
        }
        table.blocks.extend_from_slice(prefix);
        table.n_published = prefix.len();
        self.grow(table, n_tokens)
    }

    /// Adds blocks until the table covers `n_tokens` tokens. False when the pool ran out; what was added stays.
    #[must_use]
    pub fn grow(&mut self, table: &mut BlockTable, n_tokens: usize) -> bool {
        while table.blocks.len() * self.block_size < n_tokens {
            let Some(id) = self.pool.allocate() else { return false };
            table.blocks.push(id);
        }
        true
    }

    /// Publishes the blocks of `tokens` whose KV is complete, so that others find them.
    pub fn publish(&mut self, table: &mut BlockTable, tokens: &[u32], n_computed: usize) {
        if !self.prefix_caching {
            return;
        }
        let n_full = n_computed / self.block_size;
        self.extend_hashes(table, tokens, n_full);
        while table.n_published < n_full {
            let at = table.n_published;
            self.pool.set_hash(table.blocks[at], table.hashes[at]);
            table.n_published += 1;
        }
    }

    /// Takes all blocks back. Published ones stay findable until they are needed for something else.
    pub fn release(&mut self, table: &mut BlockTable) {
        self.release_blocks(&table.blocks);
        table.blocks.clear();
        table.n_published = 0;
    }

    /// Hashes of all blocks of `prompt`, the last one possibly partial.
    #[must_use]
    pub fn prompt_hashes(&self, table: &BlockTable, prompt: &[u32]) -> Vec<BlockHash> {
        self.hasher.all_blocks(prompt, self.block_size, table.cache_salt.as_deref())
    }

    /// Keeps the first `n_blocks` of `table` until [`Self::unpin`], whatever becomes of the sequence.
    ///
    /// # Panics
    /// When the table has fewer blocks.
    pub fn pin(&mut self, lease: LeaseId, table: &BlockTable, n_blocks: usize) {
        let blocks = table.blocks[..n_blocks].to_vec();
        for &id in &blocks {
            self.pool.acquire(id);
        }
        self.pins.entry(lease).or_default().extend(blocks);
    }

    /// Ends a lease. An unknown one is ignored.
    pub fn unpin(&mut self, lease: LeaseId) {
        if let Some(blocks) = self.pins.remove(&lease) {
            self.release_blocks(&blocks);
        }
    }

    /// Forgets all prefixes that no sequence and no lease uses.
    pub fn reset_prefix_cache(&mut self) {
        self.pool.forget_free();
    }

    fn release_blocks(&mut self, blocks: &[BlockId]) {
        // Last first, so that the tail of a prefix is evicted before what it builds on.
        for &id in blocks.iter().rev() {
            self.pool.release(id);
        }
    }

    fn extend_hashes(&self, table: &mut BlockTable, tokens: &[u32], n_blocks: usize) {
        for at in table.hashes.len()..n_blocks {
            let block = &tokens[at * self.block_size..][..self.block_size];
            let hash = match table.hashes.last() {
                None => self.hasher.first(block, table.cache_salt.as_deref()),
                Some(parent) => self.hasher.next(parent, block),
            };
            table.hashes.push(hash);
        }
    }
}

#[cfg(test)]
mod tests;
