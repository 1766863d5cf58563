//! Approximate prefix index: which endpoint probably holds which prefix, learned from routing alone.
//!
//! A prompt becomes a chain of block hashes ([`PromptHasher`]); every routed prompt is remembered for the
//! endpoint that got it ([`ApproxIndex`]), in a set of bounded size that forgets the least recently used block.
//!
//! Guarantees: the blocks remembered for an endpoint are always closed under prefix. A chain is inserted from
//! its last block to its first, so a block is never older than the blocks after it, and eviction takes the
//! ends of chains first. Therefore the match of one endpoint is found by bisection, in O(log n) look-ups for a
//! prompt of n blocks, and is the contiguous prefix of that very endpoint.
//!
//! Not here: tokens. A block is a number of bytes, and the caller says which bytes stand for a prompt. Hashes
//! are chained xxHash64 as in the llm-d router and are not collision-proof, which is enough for a guess about
//! caches and for nothing else; the hash that addresses real KV blocks is in [`crate::hash`].

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use lru::LruCache;
use xxhash_rust::xxh64::{Xxh64, xxh64};

/// Start of every chain of one model: prompts of different models or cache salts share no block.
#[must_use]
pub fn chain_root(model: &str, cache_salt: &str) -> u64 {
    let mut hasher = Xxh64::new(0);
    hasher.update(model.as_bytes());
    hasher.update(cache_salt.as_bytes());
    hasher.digest()
}

/// Hashes a prompt block by block as its bytes come in, without copying them.
///
/// With `b` the xxHash64 of a block's bytes, `h[i] = xxhash64(LE64(b) ‖ LE64(h[i-1]))` and `h[-1]` the root.
pub struct PromptHasher {
    parent: u64,
    block: Xxh64,
    n_in_block: usize,
    block_bytes: usize,
    max_blocks: usize,
    hashes: Vec<u64>,
}

impl std::fmt::Debug for PromptHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PromptHasher").field("hashes", &self.hashes.len()).finish_non_exhaustive()
    }
}

impl PromptHasher {
    /// Starts a chain at `root` with blocks of `block_bytes`, of which the first `max_blocks` are hashed.
    #[must_use]
    pub fn new(root: u64, block_bytes: NonZeroUsize, max_blocks: usize) -> Self {
        Self {
            parent: root,
            block: Xxh64::new(0),
            n_in_block: 0,
            block_bytes: block_bytes.get(),
            max_blocks,
            hashes: Vec::new(),
        }
    }

    /// Adds the next bytes of the prompt.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.hashes.len() < self.max_blocks {
            let room = self.block_bytes - self.n_in_block;
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            self.block.update(now);
            self.n_in_block += now.len();
            bytes = rest;
            if self.n_in_block == self.block_bytes {
                self.close_block();
            }
        }
    }

    /// The chain, its last block possibly a partial one.
    #[must_use]
    pub fn finish(mut self) -> Vec<u64> {
        if self.n_in_block > 0 && self.hashes.len() < self.max_blocks {
            self.close_block();
        }
        self.hashes
    }

    fn close_block(&mut self) {
        let mut link = [0; 16];
        link[..8].copy_from_slice(&self.block.digest().to_le_bytes());
        link[8..].copy_from_slice(&self.parent.to_le_bytes());
        self.parent = xxh64(&link, 0);
        self.hashes.push(self.parent);
        self.block.reset(0);
        self.n_in_block = 0;
    }
}

/// Keys are hashes already: one more round of hashing would only cost time.
#[derive(Debug, Default)]
struct PassThrough(u64);

impl Hasher for PassThrough {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh64(bytes, self.0);
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

type Blocks = LruCache<u64, (), BuildHasherDefault<PassThrough>>;

/// Blocks remembered for each endpoint. `E` identifies an endpoint.
///
/// Each endpoint has a lock of its own, so requests to different endpoints do not wait for each other.
#[derive(Debug)]
pub struct ApproxIndex<E> {
    endpoints: RwLock<HashMap<E, Mutex<Blocks>>>,
}

impl<E> Default for ApproxIndex<E> {
    fn default() -> Self {
        Self { endpoints: RwLock::new(HashMap::new()) }
    }
}

impl<E: Copy + Eq + Hash> ApproxIndex<E> {
    /// For each endpoint the number of leading blocks of `chain` it holds.
    #[must_use]
    pub fn matched(&self, chain: &[u64], endpoints: impl Iterator<Item = E>) -> Vec<u32> {
        let known = self.endpoints.read().unwrap_or_else(PoisonError::into_inner);
        endpoints
            .map(|endpoint| known.get(&endpoint).map_or(0, |blocks| leading_blocks(&lock(blocks), chain)))
            .collect()
    }

    /// Remembers that `endpoint` computes `chain`, keeping at most `capacity` blocks for it.
    pub fn insert(&self, endpoint: E, chain: &[u64], capacity: NonZeroUsize) {
        let known = self.endpoints.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(blocks) = known.get(&endpoint) {
            return remember(&mut lock(blocks), chain, capacity);
        }
        drop(known);
        let mut known = self.endpoints.write().unwrap_or_else(PoisonError::into_inner);
        let blocks = known
            .entry(endpoint)
            .or_insert_with(|| Mutex::new(Blocks::unbounded_with_hasher(Default::default())));
        remember(&mut lock(blocks), chain, capacity);
    }

    /// Forgets the endpoints for which `keep` is false.
    pub fn retain(&self, keep: impl Fn(E) -> bool) {
        let mut known = self.endpoints.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|&endpoint, _| keep(endpoint));
    }

    /// Blocks remembered over all endpoints.
    #[must_use]
    pub fn n_blocks(&self) -> usize {
        let known = self.endpoints.read().unwrap_or_else(PoisonError::into_inner);
        known.values().map(|blocks| lock(blocks).len()).sum()
    }
}

fn lock(blocks: &Mutex<Blocks>) -> MutexGuard<'_, Blocks> {
    blocks.lock().unwrap_or_else(PoisonError::into_inner)
}

fn leading_blocks(blocks: &Blocks, chain: &[u64]) -> u32 {
    let n_leading = chain.partition_point(|hash| blocks.contains(hash));
    u32::try_from(n_leading).unwrap_or(u32::MAX)
}

fn remember(blocks: &mut Blocks, chain: &[u64], capacity: NonZeroUsize) {
    // Blocks past the capacity would be evicted by the insertion of those before them.
    for &hash in chain.iter().take(capacity.get()).rev() {
        blocks.put(hash, ());
    }
    while blocks.len() > capacity.get() {
        blocks.pop_lru();
    }
}

#[cfg(test)]
mod tests;
