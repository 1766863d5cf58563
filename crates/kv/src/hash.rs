//! Chained content hash of KV blocks.
//!
//! A block's hash covers its tokens and, through its parent's hash, everything before them, so equal hashes
//! mean equal KV content under one model. The function is vLLM's `sha256_cbor`: SHA-256 over the canonical
//! CBOR (RFC 8949 §4.2.1) of the array `[parent bytes, [token ids…], extra keys or null]`. It is reproducible
//! in any language, so KV events, the endpoint picker and peers of a KV transfer agree on it bit for bit.
//!
//! Only four CBOR types occur (unsigned integer, bytes, text, array), which is why the encoder is written here.
//! Not here: which block holds which hash (the engine's block pool) and the picker's approximate hashes.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

mod cbor;

/// Seed of the root hash when none is configured; the same fixed string as vLLM's.
pub const DEFAULT_SEED: &str = "vllm-none-hash";

/// Identifies the tokens of a block and of everything before it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockHash(pub [u8; 32]);

impl BlockHash {
    /// The integer form of KV events: the last 8 bytes, big-endian.
    #[must_use]
    pub const fn as_u64(&self) -> u64 {
        let [.., a, b, c, d, e, f, g, h] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// The 32 bytes, as they stand in CBOR and on the wire.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// 64 lower-case hexadecimal digits.
impl fmt::Display for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// As [`fmt::Display`]: an array of numbers would tell a reader nothing.
impl fmt::Debug for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockHash({self})")
    }
}

/// The text is not a block hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseHashError;

impl fmt::Display for ParseHashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a block hash is 64 hexadecimal digits")
    }
}

impl std::error::Error for ParseHashError {}

impl FromStr for BlockHash {
    type Err = ParseHashError;

    fn from_str(text: &str) -> Result<Self, ParseHashError> {
        let digits = text.as_bytes();
        // `from_str_radix` alone would take a sign for a digit.
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(ParseHashError);
        }
        let mut bytes = [0; 32];
        for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| ParseHashError)?;
        }
        Ok(Self(bytes))
    }
}

/// Hashes chains of blocks under one root.
#[derive(Debug, Clone)]
pub struct BlockHasher {
    root: BlockHash,
}

impl Default for BlockHasher {
    fn default() -> Self {
        Self::new(DEFAULT_SEED)
    }
}

impl BlockHasher {
    /// A hasher whose root is the hash of `seed` (vLLM: `PYTHONHASHSEED`, else [`DEFAULT_SEED`]).
    #[must_use]
    pub fn new(seed: &str) -> Self {
        let mut encoded = Vec::with_capacity(seed.len() + cbor::MAX_HEAD);
        cbor::text(&mut encoded, seed);
        Self { root: digest(&encoded) }
    }

    /// The parent of every first block, vLLM's `NONE_HASH`.
    #[must_use]
    pub const fn root(&self) -> BlockHash {
        self.root
    }

    /// The first block's hash: `tokens` after the root, kept apart from other tenants by `cache_salt`.
    #[must_use]
    pub fn first(&self, tokens: &[u32], cache_salt: Option<&str>) -> BlockHash {
        hash_block(&self.root, tokens, cache_salt)
    }

    /// The hash of the block that follows `parent`.
    ///
    /// A partial last block has the hash of the tokens it has. It differs from the full block's, and so names
    /// exactly the tokens that were computed.
    #[must_use]
    pub fn next(&self, parent: &BlockHash, tokens: &[u32]) -> BlockHash {
        hash_block(parent, tokens, None)
    }

    /// Hashes of all full blocks of `tokens`; trailing tokens that fill no block are left out.
    ///
    /// # Panics
    /// When `block_size` is 0.
    #[must_use]
    pub fn full_blocks(&self, tokens: &[u32], block_size: usize, cache_salt: Option<&str>) -> Vec<BlockHash> {
        self.chain(tokens.chunks_exact(block_size), cache_salt)
    }

    /// Hashes of all blocks of `tokens`, the last one possibly partial.
    ///
    /// # Panics
    /// When `block_size` is 0.
    #[must_use]
    pub fn all_blocks(&self, tokens: &[u32], block_size: usize, cache_salt: Option<&str>) -> Vec<BlockHash> {
        self.chain(tokens.chunks(block_size), cache_salt)
    }

    fn chain<'a>(&self, blocks: impl Iterator<Item = &'a [u32]>, cache_salt: Option<&str>) -> Vec<BlockHash> {
        let mut hashes: Vec<BlockHash> = Vec::with_capacity(blocks.size_hint().0);
        for tokens in blocks {
            let hash = match hashes.last() {
                None => self.first(tokens, cache_salt),
                Some(parent) => self.next(parent, tokens),
            };
            hashes.push(hash);
        }
        hashes
    }
}

/// vLLM tags every extra key with its kind, so two kinds with equal text cannot collide.
const CACHE_SALT_TAG: &str = "cache_salt";

fn hash_block(parent: &BlockHash, tokens: &[u32], cache_salt: Option<&str>) -> BlockHash {
    let salt_len = cache_salt.map_or(0, |salt| salt.len() + CACHE_SALT_TAG.len());
    let mut encoded = Vec::with_capacity(32 + salt_len + (tokens.len() + 8) * cbor::MAX_TOKEN);
    cbor::array(&mut encoded, 3);
    cbor::bytes(&mut encoded, parent.as_bytes());
    cbor::array(&mut encoded, tokens.len());
    for &token in tokens {
        cbor::unsigned(&mut encoded, u64::from(token));
    }
    match cache_salt {
        None => cbor::null(&mut encoded),
        Some(salt) => {
            cbor::array(&mut encoded, 1);
            cbor::array(&mut encoded, 2);
            cbor::text(&mut encoded, CACHE_SALT_TAG);
            cbor::text(&mut encoded, salt);
        }
    }
    digest(&encoded)
}

fn digest(encoded: &[u8]) -> BlockHash {
    BlockHash(Sha256::digest(encoded).into())
}

#[cfg(test)]
mod tests;
